#include "ir/ops/matmul.h"

#include <fmt/format.h>

#include <utility>

#include "ir/ops/families.h"

namespace narrow::ir::ops {
namespace {

Status check_inner(const NodeView& view, const Dim& a, const Dim& b) {
  if (unify(a, b)) return {};
  return view.error("equal inner dimensions", ir::to_string(a) + " and " + ir::to_string(b));
}

Inferred infer_matmul(const NodeView& view) {
  NARROW_TRY(const DType dtype, common_dtype(view, {0, 1}));
  NARROW_TRY(auto dims, matmul_dims(view, 0, 1));
  return Types{dims ? ranked(dtype, std::move(*dims)) : TensorType::unranked(dtype)};
}

Inferred infer_gemm(const NodeView& view) {
  NARROW_TRY(const DType dtype, common_dtype(view, {0, 1}));
  NARROW_TRY(Dims y, gemm_dims(view, 0, 1));
  if (view.has(2) && view.type(2).ranked) NARROW_DO(broadcasts_to(view, view.type(2).dims, y));
  return Types{ranked(dtype, std::move(y))};
}

/// A [..., K], B packed [N, blocks, block_size * bits / 8] -> [..., N].
Inferred infer_matmul_nbits(const NodeView& view) {
  const int64_t k = view.node().int_attr("K", 0), n = view.node().int_attr("N", 0),
                bits = view.node().int_attr("bits", 4), block = view.node().int_attr("block_size", 0);
  if (k < 1 || n < 1 || (bits != 2 && bits != 4 && bits != 8) || block < 16 || (block & (block - 1)) != 0)
    return view.error("K, N >= 1, bits 2, 4 or 8, block_size a power of two from 16 on",
                      fmt::format("K = {}, N = {}, bits = {}, block_size = {}", k, n, bits, block));
  const TensorType& a = view.type(0);
  if (!a.ranked) return Types{TensorType::unranked(a.dtype)};
  if (a.rank() < 1 || !unify(a.dims.back(), Dim(k)))
    return view.error(fmt::format("A [..., {}]", k), ir::to_string(a));
  Dims dims = a.dims;
  dims.back() = Dim(n);
  return Types{ranked(a.dtype, std::move(dims))};
}

}  // namespace

Result<std::optional<Dims>> matmul_dims(const NodeView& view, int a_input, int b_input, bool transpose_b) {
  if (!view.type(a_input).ranked || !view.type(b_input).ranked) return std::optional<Dims>();
  Dims a = view.type(a_input).dims;
  Dims b = view.type(b_input).dims;
  if (a.empty() || b.empty())
    return view.error("operands of rank 1 or more", to_string(a) + " and " + to_string(b));
  const bool row = a.size() == 1;
  const bool column = b.size() == 1;
  if (row) a.insert(a.begin(), Dim(1));
  if (column) b.push_back(Dim(1));
  if (transpose_b && !column) std::swap(b[b.size() - 1], b[b.size() - 2]);
  const Dim m = a[a.size() - 2];
  const Dim n = b[b.size() - 1];
  NARROW_DO(check_inner(view, a.back(), b[b.size() - 2]));
  NARROW_TRY(Dims y, broadcast(view, Dims(a.begin(), a.end() - 2), Dims(b.begin(), b.end() - 2)));
  if (!row) y.push_back(m);
  if (!column) y.push_back(n);
  return std::optional(std::move(y));
}

Result<Dims> gemm_dims(const NodeView& view, int a_input, int b_input) {
  NARROW_TRY(Dims a, dims_of_rank(view, a_input, 2));
  NARROW_TRY(Dims b, dims_of_rank(view, b_input, 2));
  if (view.node().int_attr("transA", 0) != 0) std::swap(a[0], a[1]);
  if (view.node().int_attr("transB", 0) != 0) std::swap(b[0], b[1]);
  NARROW_DO(check_inner(view, a[1], b[0]));
  return Dims{a[0], b[1]};
}

Schemas matmul_ops() {
  return {{.op = Op::MatMul,
           .domain = "",
           .since = 1,
           .doc = "numpy.matmul(A, B)",
           .inputs = {{"A", kNumbers}, {"B", kNumbers}},
           .outputs = {{"Y", kNumbers}},
           .infer = infer_matmul},
          {.op = Op::Gemm,
           .domain = "",
           .since = 7,
           .doc = "Y = alpha * A' x B' + beta * C, A' = A or its transpose (transA), B' likewise; C "
                  "broadcasts to [M,N]",
           .inputs = {{"A", kNumbers}, {"B", kNumbers}, {"C", kNumbers, kOptional}},
           .outputs = {{"Y", kNumbers}},
           .infer = infer_gemm},
          {.op = Op::MatMulNBits,
           .domain = "com.microsoft",
           .since = 1,
           .doc = "A x B', B of `bits` bits in blocks along K: (code - zero_point) * scale",
           .inputs = {{"A", kFloats},
                      {"B", kU8},
                      {"scales", kFloats},
                      {"zero_points", kAny, kOptional},
                      {"g_idx", kS32, kOptional},
                      {"bias", kFloats, kOptional}},
           .outputs = {{"Y", kFloats}},
           .infer = infer_matmul_nbits}};
}

}  // namespace narrow::ir::ops
