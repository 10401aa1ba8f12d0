// FusedMatMul -> the convolution family (a product is a 1x1 convolution over a row of m pixels).
#include "runtime/lower/conv_step.h"
#include "runtime/lower/lower.h"

namespace narrow::runtime::lower {
namespace {

std::string make_spec(const NodeCase& c, kernels::ConvSpec& spec) {
  if (c.constant(1) == nullptr || c.constant(1)->rank() != 2) return "weights are not a constant matrix";
  if (c.has(2) && c.constant(2) == nullptr) return "bias is not constant";
  const Shape a = c.in(0).shape(), b = c.in(1).shape();
  const bool transposed = c.node.int_attr("transB", 0) != 0;
  const int64_t k = a.back(), n = transposed ? b[0] : b[1], m = k == 0 ? 0 : elements_of(a) / k;
  spec.shape = {.n = 1, .h = 1, .w = m, .c = k, .oh = 1, .ow = m, .oc = n};
  return finish_spec(c, spec);
}

template <class T>
void transpose_into(const T* src, int64_t rows, int64_t columns, T* dst) {
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t col = 0; col < columns; ++col) dst[col * rows + r] = src[r * columns + col];
}

/// [K,N] -> [N,K], which is [oc, c, 1, 1].
Tensor make_weights(const NodeCase& c) {
  const Tensor& b = *c.constant(1);
  if (c.node.int_attr("transB", 0) != 0) return b;
  Tensor out = Tensor::allocate(b.dtype(), {b.dim(1), b.dim(0)});
  dispatch(b.dtype(), [&](auto tag) {
    using T = decltype(tag);
    transpose_into(static_cast<const T*>(b.raw()), b.dim(0), b.dim(1), static_cast<T*>(out.mutable_raw()));
  });
  return out;
}

}  // namespace

void add_fused_products(Table& table) {
  table[ir::Op::FusedMatMul] = conv_implementations(make_spec, make_weights);
}

}  // namespace narrow::runtime::lower
