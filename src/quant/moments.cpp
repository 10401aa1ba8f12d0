#include "quant/moments.h"

#include <algorithm>

#include "base/aligned.h"
#include "base/cpu.h"
#include "kernels/matmul/matmul.h"

namespace narrow::quant {
namespace {

/// Matrices this small are summed in place, groups side by side.
constexpr int64_t kSmall = 32;
/// Multiply-adds that a layer's moments may take, some seconds either way: small matrices are summed slowly.
constexpr double kMostWork = 5e10, kMostSmallWork = 2e9;
/// Rows for each k at least.
constexpr int64_t kRowsPerK = 8;
/// See worth_products.
constexpr int64_t kMostInputs = 12288, kMostInputsPerRow = 32;

/// c[k, n] = a^T b  of a [rows, k], b [rows, n]
void product(const float* a, int64_t k, const float* b, int64_t n, int64_t rows, float* c, ThreadPool& pool) {
  kernels::MatMulSpec spec;
  spec.m = k;
  spec.n = n;
  spec.k = rows;
  spec.a_stride_m = 1, spec.a_stride_k = k;
  spec.b_stride_k = n, spec.b_stride_n = 1;
  spec.c_stride_m = n;
  const Isa isa = usable_isa();
  AlignedBuffer scratch(kernels::matmul_scratch_bytes(spec, isa, pool.threads()));
  kernels::matmul(spec, a, b, c, scratch.data(), isa, pool);
}

void add_to(std::vector<double>& sums, const std::vector<float>& part, ThreadPool& pool) {
  parallel_for(pool, static_cast<int64_t>(sums.size()), 1 << 16, [&](int64_t first, int64_t end) {
    for (int64_t i = first; i < end; ++i) sums[static_cast<size_t>(i)] += part[static_cast<size_t>(i)];
  });
}

void add_outer(std::vector<double>& sums, const float* a, int64_t k, const float* b, int64_t n) {
  double* out = sums.data();
  for (int64_t i = 0; i < k; ++i, out += n)
    for (int64_t j = 0; j < n; ++j) out[j] += static_cast<double>(a[i]) * static_cast<double>(b[j]);
}

void add_row(std::vector<double>& sums, const float* x) {
  for (size_t i = 0; i < sums.size(); ++i) sums[i] += static_cast<double>(x[i]);
}

}  // namespace

bool worth_products(int64_t k, int64_t rows) { return k <= kMostInputs && k <= rows * kMostInputsPerRow; }

void MomentSums::start(const Shape& shape, bool has_residual) {
  const HeavyShape heavy = heavy_shape(*node_);
  const auto k = static_cast<size_t>(heavy.k);
  const int64_t all = LayerRows(*node_, shape).rows() * batches_;
  products_ = heavy.k <= kSmall || worth_products(heavy.k, all);
  groups_.assign(static_cast<size_t>(heavy.groups), {});
  for (Moments& m : groups_) {
    m.k = heavy.k, m.n = heavy.n;
    m.mean_quantized.assign(k, 0);
    m.mean.assign(k, 0);
    if (products_) m.quantized.assign(k * k, 0), m.cross.assign(k * k, 0);
    if (!has_residual) continue;
    if (products_) m.residual.assign(k * static_cast<size_t>(heavy.n), 0);
    m.mean_residual.assign(static_cast<size_t>(heavy.n), 0);
  }
  const double square = static_cast<double>(heavy.k * heavy.k * heavy.groups);
  const auto most = std::max<int64_t>(
      kRowsPerK * heavy.k, static_cast<int64_t>((heavy.k <= kSmall ? kMostSmallWork : kMostWork) / square));
  step_ = (all + most - 1) / most;
  step_ += step_ % 2 == 0 ? 1 : 0;  // widths are mostly even: not always the same columns
}

std::vector<int64_t> MomentSums::taken(const LayerRows& rows) const {
  std::vector<int64_t> list;
  for (int64_t r = 0; r < rows.rows(); r += step_) list.push_back(r);
  return list;
}

void MomentSums::add(const Tensor& data, const Tensor& quantized, const Tensor& missing, ThreadPool& pool) {
  NARROW_CHECK(data.shape() == quantized.shape());
  if (groups_.empty()) start(data.shape(), missing.defined());
  const LayerRows rows(*node_, data.shape());
  const Rows batch{rows, data.data<float>().data(), quantized.data<float>().data(),
                   missing.defined() ? missing.data<float>().data() : nullptr};
  if (!products_)
    add_means(batch, pool);
  else if (groups_.front().k <= kSmall)
    add_small(batch, pool);
  else
    add_large(batch, pool);
}

void MomentSums::add_means(const Rows& batch, ThreadPool& pool) {
  const std::vector<int64_t> list = taken(batch.layer);
  pool.run(static_cast<int64_t>(groups_.size()), [&](int64_t g) {
    Moments& m = groups_[static_cast<size_t>(g)];
    std::vector<float> x(static_cast<size_t>(m.k)), missing(static_cast<size_t>(m.n));
    for (const int64_t row : list) {
      batch.layer.gather(batch.original, row, g, x.data());
      add_row(m.mean, x.data());
      batch.layer.gather(batch.quantized, row, g, x.data());
      add_row(m.mean_quantized, x.data());
      ++m.rows;
      if (batch.missing == nullptr) continue;
      batch.layer.gather_result(batch.missing, row, g, missing.data());
      add_row(m.mean_residual, missing.data());
    }
  });
}

void MomentSums::add_small(const Rows& batch, ThreadPool& pool) {
  const std::vector<int64_t> list = taken(batch.layer);
  pool.run(static_cast<int64_t>(groups_.size()), [&](int64_t g) {
    Moments& m = groups_[static_cast<size_t>(g)];
    float x[kSmall], q[kSmall];
    std::vector<float> missing(static_cast<size_t>(m.n));
    for (const int64_t row : list) {
      batch.layer.gather(batch.original, row, g, x);
      batch.layer.gather(batch.quantized, row, g, q);
      add_outer(m.quantized, q, m.k, q, m.k);
      add_outer(m.cross, q, m.k, x, m.k);
      add_row(m.mean_quantized, q);
      add_row(m.mean, x);
      ++m.rows;
      if (batch.missing == nullptr) continue;
      batch.layer.gather_result(batch.missing, row, g, missing.data());
      add_outer(m.residual, q, m.k, missing.data(), m.n);
      add_row(m.mean_residual, missing.data());
    }
  });
}

void MomentSums::add_large(const Rows& batch, ThreadPool& pool) {
  constexpr int64_t kChunk = 2048;
  const std::vector<int64_t> list = taken(batch.layer);
  const auto count = static_cast<int64_t>(list.size());
  const int64_t k = groups_.front().k, n = batch.missing != nullptr ? groups_.front().n : 0;
  std::vector<float> q(static_cast<size_t>(kChunk * k)), x(q.size()),
      missing(static_cast<size_t>(kChunk * n)), squares(static_cast<size_t>(k * k)),
      others(static_cast<size_t>(k * n));
  for (int64_t g = 0; g < static_cast<int64_t>(groups_.size()); ++g) {
    Moments& m = groups_[static_cast<size_t>(g)];
    for (int64_t first = 0; first < count; first += kChunk) {
      const int64_t part = std::min(kChunk, count - first);
      pool.run(part, [&](int64_t i) {
        const int64_t row = list[static_cast<size_t>(first + i)];
        batch.layer.gather(batch.quantized, row, g, q.data() + i * k);
        batch.layer.gather(batch.original, row, g, x.data() + i * k);
        if (n > 0) batch.layer.gather_result(batch.missing, row, g, missing.data() + i * n);
      });
      product(q.data(), k, q.data(), k, part, squares.data(), pool);
      add_to(m.quantized, squares, pool);
      product(q.data(), k, x.data(), k, part, squares.data(), pool);
      add_to(m.cross, squares, pool);
      if (n > 0) {
        product(q.data(), k, missing.data(), n, part, others.data(), pool);
        add_to(m.residual, others, pool);
      }
      for (int64_t i = 0; i < part; ++i) {
        add_row(m.mean_quantized, q.data() + i * k);
        add_row(m.mean, x.data() + i * k);
        if (n > 0) add_row(m.mean_residual, missing.data() + i * n);
      }
      m.rows += part;
    }
  }
}

std::vector<Moments> MomentSums::finish() {
  for (Moments& m : groups_)
    for (std::vector<double>* sums : {&m.mean_quantized, &m.mean, &m.mean_residual})
      for (double& s : *sums) s /= static_cast<double>(std::max<int64_t>(1, m.rows));
  return std::move(groups_);
}

}  // namespace narrow::quant
