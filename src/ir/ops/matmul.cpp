#include "ir/ops/matmul.h"

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
           .infer = infer_gemm}};
}

}  // namespace narrow::ir::ops
