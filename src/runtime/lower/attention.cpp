// Attention -> kernels/attention.  MatMul of two activations -> kernels/matmul.
#include "kernels/attention/attention.h"

#include <fmt/format.h>

#include <cmath>

#include "kernels/matmul/matmul.h"
#include "runtime/lower/format.h"
#include "runtime/lower/lower.h"

namespace narrow::runtime::lower {
namespace {

using ir::Op;

/// [B,H,S,D], or [B,S,H*D] with the head count from the node: sizes and strides of one operand.
struct Heads {
  int64_t batch, heads, rows, dim;
  kernels::AttentionStrides strides;
};

Heads heads_of(const Shape& shape, int64_t heads) {
  if (shape.size() == 4) {
    const int64_t h = shape[1], s = shape[2], d = shape[3];
    return {shape[0], h, s, d, {.batch = h * s * d, .head = s * d, .row = d}};
  }
  const int64_t s = shape[1], width = shape[2], d = heads > 0 ? width / heads : width;
  return {shape[0], heads, s, d, {.batch = s * width, .head = d, .row = width}};
}

std::string make_attention(const NodeCase& c, kernels::AttentionSpec& spec) {
  const ir::Node& node = c.node;
  if (node.inputs().size() > 4 || node.outputs().size() > 1) return "past, present or scores are wanted";
  if (node.float_attr("softcap", 0) != 0) return "softcap";
  const int64_t rank = c.in(0).rank();
  if ((rank != 3 && rank != 4) || c.in(1).rank() != rank || c.in(2).rank() != rank)
    return "q, k, v differ in rank";
  for (int i = 0; i < 3; ++i)
    if (!has_format(c.in(i))) return "types are not float or 8-bit per tensor";
  if (!has_format(c.out())) return "output type is not float or 8-bit per tensor";
  const int64_t q_heads = node.int_attr("q_num_heads", 0), kv_heads = node.int_attr("kv_num_heads", q_heads);
  if (rank == 3 && (q_heads <= 0 || kv_heads <= 0)) return "head counts are missing";
  const Heads q = heads_of(c.in(0).shape(), q_heads), k = heads_of(c.in(1).shape(), kv_heads),
              v = heads_of(c.in(2).shape(), kv_heads), y = heads_of(c.out().shape(), q_heads);
  if (k.heads <= 0 || q.heads % k.heads != 0 || q.dim != k.dim) return "head counts or sizes do not divide";
  spec.batch = q.batch, spec.heads = q.heads, spec.kv_heads = k.heads;
  spec.q_len = q.rows, spec.kv_len = k.rows, spec.head_dim = q.dim, spec.v_dim = v.dim;
  spec.q = format_of(c.in(0)), spec.k = format_of(c.in(1)), spec.v = format_of(c.in(2)),
  spec.dst = format_of(c.out());
  spec.q_strides = q.strides, spec.k_strides = k.strides, spec.v_strides = v.strides,
  spec.dst_strides = y.strides;
  spec.scale = node.float_attr("scale", 1.0F / std::sqrt(static_cast<float>(q.dim)));
  spec.causal = node.int_attr("is_causal", 0) != 0;
  if (!c.has(3)) return "";
  if (c.in(3).dtype != DType::f32 || c.in(3).rank() > 4) return "mask is not f32";
  Shape mask = c.in(3).shape();
  mask.insert(mask.begin(), 4 - mask.size(), 1);
  const std::vector<int64_t> strides = row_major_strides(mask);
  const Shape full = {q.batch, q.heads, q.rows, k.rows};
  for (size_t i = 0; i < 4; ++i)
    if (mask[i] != 1 && mask[i] != full[i]) return "mask does not broadcast";
  spec.mask = true;
  spec.mask_batch = mask[0] == 1 ? 0 : strides[0], spec.mask_head = mask[1] == 1 ? 0 : strides[1];
  spec.mask_row = mask[2] == 1 ? 0 : strides[2], spec.mask_column = mask[3] == 1 ? 0 : strides[3];
  return "";
}

Result<std::unique_ptr<Kernel>> create_attention(const NodeCase& c) {
  kernels::AttentionSpec spec;
  NARROW_CHECK(make_attention(c, spec).empty());
  const auto run = [spec, isa = c.isa](const StepBuffers& b, ThreadPool& pool) {
    kernels::attention(spec,
                       {.q = b.inputs[0],
                        .k = b.inputs[1],
                        .v = b.inputs[2],
                        .mask = b.inputs.size() > 3 ? static_cast<const float*>(b.inputs[3]) : nullptr,
                        .dst = b.outputs[0],
                        .scratch = b.scratch},
                       isa, pool);
  };
  return make_kernel(run, kernels::attention_scratch_bytes(spec, c.isa, c.threads));
}

std::string make_matmul(const NodeCase& c, kernels::MatMulSpec& spec) {
  for (int i = 0; i < 2; ++i)
    if (!is_kernel_float(c.in(i).dtype)) return "types are not float";
  if (!is_kernel_float(c.out().dtype)) return "output type is not float";
  const Shape a = c.in(0).shape(), b = c.in(1).shape();
  if (a.size() < 2 || b.size() < 2) return "vectors";
  Shape y = c.out().shape();
  const size_t batch_rank = y.size() - 2;
  if (batch_rank > static_cast<size_t>(kernels::kMaxBatchRank))
    return fmt::format("{} batch axes", batch_rank);
  spec.a = c.in(0).dtype, spec.b = c.in(1).dtype, spec.c = c.out().dtype;
  spec.m = a[a.size() - 2], spec.k = a.back(), spec.n = b.back();
  spec.a_stride_m = spec.k, spec.b_stride_k = spec.n, spec.c_stride_m = spec.n;
  spec.batch_rank = static_cast<int>(batch_rank);
  const std::vector<int64_t> as = row_major_strides(a), bs = row_major_strides(b), ys = row_major_strides(y);
  const auto stride = [&](const Shape& shape, const std::vector<int64_t>& strides, size_t axis) -> int64_t {
    const size_t missing = y.size() - shape.size();
    return axis < missing || shape[axis - missing] == 1 ? 0 : strides[axis - missing];
  };
  for (size_t i = 0; i < batch_rank; ++i) {
    spec.batch[i] = y[i];
    spec.a_batch_strides[i] = stride(a, as, i);
    spec.b_batch_strides[i] = stride(b, bs, i);
    spec.c_batch_strides[i] = ys[i];
  }
  return "";
}

Result<std::unique_ptr<Kernel>> create_matmul(const NodeCase& c) {
  kernels::MatMulSpec spec;
  NARROW_CHECK(make_matmul(c, spec).empty());
  const auto run = [spec, isa = c.isa](const StepBuffers& b, ThreadPool& pool) {
    kernels::matmul(spec, b.inputs[0], b.inputs[1], b.outputs[0], b.scratch, isa, pool);
  };
  return make_kernel(run, kernels::matmul_scratch_bytes(spec, c.isa, c.threads));
}

}  // namespace

void add_attention(Table& table) {
  table[Op::Attention].push_back({.name = "attention",
                                  .isa = Isa::plain,
                                  .unsupported =
                                      [](const NodeCase& c) {
                                        kernels::AttentionSpec spec;
                                        return make_attention(c, spec);
                                      },
                                  .create = create_attention,
                                  .formats = "f32 bf16 f16"});
}

void add_products(Table& table) {
  table[Op::MatMul].push_back({.name = "matmul",
                               .isa = Isa::plain,
                               .unsupported =
                                   [](const NodeCase& c) {
                                     kernels::MatMulSpec spec;
                                     return make_matmul(c, spec);
                                   },
                               .create = create_matmul,
                               .formats = "f32 bf16 f16"});
}

}  // namespace narrow::runtime::lower
