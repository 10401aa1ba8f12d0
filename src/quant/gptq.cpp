#include "quant/gptq.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/aligned.h"
#include "quant/column_block.h"

namespace narrow::quant {
namespace {

int code_of(float x, ScaleFit fit, const WeightGrid& grid) {
  if (grid.stride == 2) return x >= 0 ? grid.high : grid.low;
  const float quotient = std::clamp(x / fit.scale, -1024.0F, 1024.0F);
  return std::clamp(static_cast<int>(std::nearbyintf(quotient)) + fit.zero_point, grid.low, grid.high);
}

/// kBlock columns, from the last run of k to the first.
class BlockRounder {
 public:
  BlockRounder(const RoundingProblem& problem, const WeightGrid& grid, bool has_scales, int64_t first,
               GridWeights& out)
      : problem_(problem),
        grid_(grid),
        has_scales_(has_scales),
        first_(first),
        live_(std::min(kBlock, problem.n - first)),
        out_(out),
        target_(ColumnBlock::of(problem.target, problem.k, problem.n, first)),
        error_(problem.k),
        carried_(problem.k) {}

  void run() {
    for (int64_t g = grid_.groups() - 1; g >= 0; --g) {
      const int64_t begin = grid_.begin[static_cast<size_t>(g)],
                    end = grid_.begin[static_cast<size_t>(g) + 1];
      carry(begin, end);
      if (!has_scales_) fit_scales(g, begin, end);
      round(g, begin, end);
    }
  }

 private:
  const float* factor(int64_t k) const { return problem_.factor.data() + k * problem_.k; }

  /// What rows behind `end` ask of the run's: sum_{j >= end} R_kj e_j.
  void carry(int64_t begin, int64_t end) {
    for (int64_t k = begin; k < end; ++k) {
      float sum[kBlock] = {};
      for (int64_t j = end; j < problem_.k; ++j) add_scaled(sum, factor(k)[j], error_.row(j));
      std::copy_n(sum, kBlock, carried_.row(k));
    }
  }

  /// What is left of w*_k when the rows in (k, end) err by `errors`.
  void left(int64_t k, int64_t end, const ColumnBlock& errors, float* wanted) const {
    float sum[kBlock];
    std::copy_n(carried_.row(k), kBlock, sum);
    for (int64_t j = k + 1; j < end; ++j) add_scaled(sum, factor(k)[j], errors.row(j));
    const float inverse = 1.0F / factor(k)[k];
    for (int64_t c = 0; c < kBlock; ++c) wanted[c] = target_.row(k)[c] - sum[c] * inverse;
  }

  /// Scales of the run's numbers as they would be if they were not rounded.
  void fit_scales(int64_t g, int64_t begin, int64_t end) {
    ColumnBlock wanted(problem_.k);
    for (int64_t k = end - 1; k >= begin; --k) {
      left(k, end, error_, wanted.row(k));
      for (int64_t c = 0; c < live_; ++c)
        if (problem_.is_zero(k, first_ + c)) wanted.row(k)[c] = 0;
      for (int64_t c = 0; c < kBlock; ++c) error_.row(k)[c] = wanted.row(k)[c] - target_.row(k)[c];
    }
    for (int64_t c = 0; c < live_; ++c) {
      std::vector<float> column, importance;
      for (int64_t k = begin; k < end; ++k) {
        if (problem_.is_apart(k, first_ + c)) continue;
        column.push_back(wanted.row(k)[c]);
        importance.push_back(factor(k)[k] * factor(k)[k]);
      }
      if (column.empty()) column.push_back(0), importance.push_back(1);  // all of them stand apart
      const ScaleFit fit = grid_.fit(column, importance, first_ + c);
      out_.scale[static_cast<size_t>(g * problem_.n + first_ + c)] = fit.scale;
      out_.zero_point[static_cast<size_t>(g * problem_.n + first_ + c)] =
          static_cast<int16_t>(fit.zero_point);
    }
  }

  void round(int64_t g, int64_t begin, int64_t end) {
    for (int64_t k = end - 1; k >= begin; --k) {
      float wanted[kBlock];
      left(k, end, error_, wanted);
      for (int64_t c = 0; c < live_; ++c) {
        const auto at = static_cast<size_t>(g * problem_.n + first_ + c);
        const ScaleFit fit{out_.scale[at], out_.zero_point[at]};
        error_.row(k)[c] = round_one(k, c, wanted[c], fit) - target_.row(k)[c];
      }
    }
  }

  /// The number that stands for `wanted` afterwards.
  float round_one(int64_t k, int64_t c, float wanted, const ScaleFit& fit) {
    const auto at = static_cast<size_t>(k * problem_.n + first_ + c);
    const bool zero = problem_.is_zero(k, first_ + c), apart = problem_.is_apart(k, first_ + c);
    const bool no_code = zero || (apart && grid_.stride == 1);
    const int code = no_code ? fit.zero_point : code_of(wanted, fit, grid_);
    out_.codes[at] = static_cast<int16_t>(code);
    const float back = static_cast<float>(code - fit.zero_point) * fit.scale;
    if (!apart) return back;
    return out_.apart[at] = zero ? 0 : number_apart(wanted, back);
  }

  const RoundingProblem& problem_;
  const WeightGrid& grid_;
  bool has_scales_;
  int64_t first_, live_;
  GridWeights& out_;
  ColumnBlock target_, error_, carried_;
};

}  // namespace

GridWeights gptq(const RoundingProblem& problem, const WeightGrid& grid, const GridWeights& fixed,
                 ThreadPool& pool) {
  GridWeights out = fixed;
  const auto scales = static_cast<size_t>(grid.groups() * problem.n);
  const bool has_scales = !fixed.scale.empty();
  NARROW_CHECK(!has_scales || (fixed.scale.size() == scales && fixed.zero_point.size() == scales));
  out.codes.assign(static_cast<size_t>(problem.k * problem.n), 0);
  out.scale.resize(scales, 1.0F);
  out.zero_point.resize(scales, 0);
  out.apart.assign(problem.apart.size(), std::numeric_limits<float>::quiet_NaN());
  pool.run(div_up(problem.n, kBlock),
           [&](int64_t block) { BlockRounder(problem, grid, has_scales, block * kBlock, out).run(); });
  return out;
}

std::vector<float> values_of(const RoundingProblem& problem, const WeightGrid& grid,
                             const GridWeights& weights) {
  std::vector<float> values(weights.codes.size());
  for (int64_t g = 0; g < grid.groups(); ++g)
    for (int64_t k = grid.begin[static_cast<size_t>(g)]; k < grid.begin[static_cast<size_t>(g) + 1]; ++k)
      for (int64_t c = 0; c < problem.n; ++c) {
        const auto at = static_cast<size_t>(k * problem.n + c), s = static_cast<size_t>(g * problem.n + c);
        values[at] = weights.is_apart(at)
                         ? weights.apart[at]
                         : static_cast<float>(weights.codes[at] - weights.zero_point[s]) * weights.scale[s];
      }
  return values;
}

}  // namespace narrow::quant
