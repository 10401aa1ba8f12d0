// FusedConv, FusedMatMul (a convolution's relative, with constant weights) and MatMul of two computed
// matrices.
#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>

#include "kernels/gradient/gradient.h"
#include "kernels/matmul/matmul.h"
#include "quant/gradient/broadcast.h"
#include "quant/gradient/product_shapes.h"
#include "quant/gradient/products.h"
#include "quant/gradient/rule.h"
#include "runtime/kernel.h"

namespace narrow::quant::gradient {

using kernels::ConvShape;

namespace {

/// f32 throughout and nothing absorbed but bounds (prepare.h).
Result<kernels::Activation> bounds_of(const RuleCase& c) {
  const ir::Node& node = c.node;
  kernels::Activation act;
  if (node.input(3) != nullptr || !runtime::read_activation(node, act) || !act.is_clamp())
    return no_rule(node, "a product with nothing fused into it but bounds",
                   node.string_attr("activation", "none"));
  for (const int i : {0, 1})
    if (node.input(i)->type.dtype != DType::f32)
      return no_rule(node, "f32 operands", ir::to_string(node.input(i)->type));
  return act;
}

/// dy where y lies between the bounds of the activation, 0 where it is one of them.
class BoundedSeed {
 public:
  BoundedSeed(const kernels::Activation& act, int64_t elements, Isa isa) : isa_(isa) {
    constexpr float kInf = std::numeric_limits<float>::infinity();
    if (act.kind == kernels::Act::none) return;
    const float low = act.kind == kernels::Act::clip ? act.alpha : 0.0F;
    low_ = std::nextafter(low, kInf);
    high_ = act.kind == kernels::Act::clip ? std::nextafter(act.beta, -kInf) : kInf;
    inner_ = AlignedBuffer(elements * static_cast<int64_t>(sizeof(float)));
    elements_ = elements;
  }

  const float* run(const void* y, const float* dy, ThreadPool& pool) {
    if (elements_ == 0) return dy;
    parallel_for(pool, elements_, 16 << 10, [&](int64_t begin, int64_t end) {
      kernels::bounded_gradient({static_cast<const float*>(y) + begin, dy + begin, inner_.as<float>() + begin,
                                 end - begin, low_, high_},
                                isa_);
    });
    return inner_.as<float>();
  }

 private:
  Isa isa_;
  float low_ = 0, high_ = 0;
  int64_t elements_ = 0;  // 0: there are no bounds
  AlignedBuffer inner_;
};

struct ProductGradients {
  BoundedSeed seed;
  InputGradient input;
  WeightGradient weights;
};

}  // namespace

Result<Forward> fresh_product(const RuleCase& c) {
  NARROW_TRY(const kernels::Activation act, bounds_of(c));
  const bool is_conv = c.node.op() == ir::Op::FusedConv;
  if (!is_conv && c.node.op() != ir::Op::FusedMatMul)
    return no_rule(c.node, "a convolution over images or a product with a constant matrix",
                   ir::to_string(c.node.op()));
  NARROW_TRY(const ConvShape shape, is_conv ? conv_shape(c.node) : product_shape(c.node));
  struct State {
    FreshConv conv;
    std::vector<float> turned;
  };
  auto state =
      std::make_shared<State>(State{FreshConv(shape, c.node.input(2) != nullptr, act, c.isa, c.threads), {}});
  const bool turn = !is_conv && c.node.int_attr("transB", 0) == 0;
  return Forward([=, isa = c.isa](std::span<const void* const> x, void* y, ThreadPool& pool) {
    const auto* w = static_cast<const float*>(x[1]);
    if (turn) {
      state->turned.resize(static_cast<size_t>(shape.c * shape.oc));
      turn_matrix(w, shape.c, shape.oc, state->turned.data(), shape.c, isa, pool);
      w = state->turned.data();
    }
    const auto* bias = x.size() > 2 ? static_cast<const float*>(x[2]) : nullptr;
    state->conv.run(static_cast<const float*>(x[0]), w, bias, static_cast<float*>(y), pool);
  });
}

Result<Backward> conv_rule(const RuleCase& c) {
  NARROW_TRY(const kernels::Activation act, bounds_of(c));
  NARROW_TRY(const ConvShape shape, conv_shape(c.node));
  if (const std::string reason = InputGradient::unsupported(shape); !reason.empty())
    return no_rule(c.node, "a convolution whose input's gradient is a convolution", reason);
  auto gradients = std::make_shared<ProductGradients>(
      ProductGradients{BoundedSeed(act, elements_of(c.result_shape()), c.isa),
                       InputGradient(shape, c.isa, c.threads), WeightGradient(shape, c.isa)});
  return Backward([gradients](const BackwardBuffers& b, ThreadPool& pool) {
    const auto *x = static_cast<const float*>(b.x[0]), *w = static_cast<const float*>(b.x[1]);
    const float* dy = gradients->seed.run(b.y[0], b.dy[0], pool);
    if (b.dx[0] != nullptr) gradients->input.run(dy, w, b.dx[0], pool);
    if (b.dx[1] != nullptr) gradients->weights.run(x, dy, b.dx[1], pool);
  });
}

/// Y = X W, W as [K, N] or, transposed, [N, K]:
///   dX = dY W': a 1x1 convolution with K results, whose weights [K, N] are W as it lies, or turned.
///   dW [K, N] = X' dY; transposed: dY' X. A weight gradient either way, the operands' parts swapped.
Result<Backward> constant_matmul_rule(const RuleCase& c) {
  NARROW_TRY(const kernels::Activation act, bounds_of(c));
  NARROW_TRY(const ConvShape shape, product_shape(c.node));
  const bool transposed = c.node.int_attr("transB", 0) != 0;
  ConvShape back = shape;
  std::swap(back.c, back.oc);
  struct Steps {
    BoundedSeed seed;
    FreshConv by_matrix;      // dX with W as it lies
    InputGradient by_turned;  // dX with W turned
    WeightGradient weights;
  };
  auto steps = std::make_shared<Steps>(Steps{
      BoundedSeed(act, elements_of(c.result_shape()), c.isa), FreshConv(back, false, {}, c.isa, c.threads),
      InputGradient(shape, c.isa, c.threads), WeightGradient(transposed ? shape : back, c.isa)});
  return Backward([steps, transposed](const BackwardBuffers& b, ThreadPool& pool) {
    const auto *x = static_cast<const float*>(b.x[0]), *w = static_cast<const float*>(b.x[1]);
    const float* dy = steps->seed.run(b.y[0], b.dy[0], pool);
    if (b.dx[0] != nullptr)
      transposed ? steps->by_turned.run(dy, w, b.dx[0], pool)
                 : steps->by_matrix.run(dy, w, nullptr, b.dx[0], pool);
    if (b.dx[1] != nullptr)
      transposed ? steps->weights.run(x, dy, b.dx[1], pool) : steps->weights.run(dy, x, b.dx[1], pool);
  });
}

namespace {

struct Strides {
  int64_t row, column;
};

/// A product of matrices over the result's batch axes, operands broadcast along them.
class BatchedProduct {
 public:
  /// Batch axes of `a` and `b` (shapes whose last two axes do not count) broadcast to `batch`.
  BatchedProduct(const Shape& batch, const Shape& a, Strides a_strides, const Shape& b, Strides b_strides,
                 int64_t m, int64_t n, int64_t k, Isa isa, int threads)
      : isa_(isa) {
    spec_.m = m, spec_.n = n, spec_.k = k;
    spec_.a_stride_m = a_strides.row, spec_.a_stride_k = a_strides.column;
    spec_.b_stride_k = b_strides.row, spec_.b_stride_n = b_strides.column;
    spec_.c_stride_m = n;
    spec_.batch_rank = static_cast<int>(batch.size());
    int64_t result = m * n;
    const std::vector<int64_t> of_a = batch_strides(a, batch), of_b = batch_strides(b, batch);
    for (size_t d = batch.size(); d-- > 0;) {
      spec_.batch[d] = batch[d];
      spec_.a_batch_strides[d] = of_a[d], spec_.b_batch_strides[d] = of_b[d];
      spec_.c_batch_strides[d] = result;
      result *= batch[d];
    }
    scratch_ = AlignedBuffer(kernels::matmul_scratch_bytes(spec_, isa, threads));
  }

  void run(const float* a, const float* b, float* c, ThreadPool& pool) {
    kernels::matmul(spec_, a, b, c, scratch_.data(), isa_, pool);
  }

 private:
  static std::vector<int64_t> batch_strides(const Shape& shape, const Shape& batch) {
    const Shape own(shape.begin(), shape.end() - 2);
    std::vector<int64_t> strides = strides_as(own, batch);
    for (int64_t& stride : strides) stride *= shape[shape.size() - 2] * shape.back();
    return strides;
  }

  kernels::MatMulSpec spec_;
  Isa isa_;
  AlignedBuffer scratch_;
};

/// A gradient over all batches, summed where the operand was repeated.
struct OperandGradient {
  BatchedProduct product;
  SumTo sum;
  std::vector<float> whole;
  int64_t elements;

  void run(const float* a, const float* b, float* dx, ThreadPool& pool) {
    if (sum.is_identity()) return product.run(a, b, dx, pool);
    whole.resize(static_cast<size_t>(elements));
    product.run(a, b, whole.data(), pool);
    sum.run(whole.data(), dx, pool);
  }
};

Shape with_matrix(Shape batch, int64_t rows, int64_t columns) {
  batch.push_back(rows);
  batch.push_back(columns);
  return batch;
}

}  // namespace

/// dA = dY B',  dB = A' dY.
Result<Backward> matmul_rule(const RuleCase& c) {
  const Shape a = c.shape(0), b = c.shape(1), y = c.result_shape();
  if (a.size() < 2 || b.size() < 2 || y.size() > static_cast<size_t>(kernels::kMaxBatchRank) + 2)
    return no_rule(c.node, "two to eight axes", to_string(a) + " and " + to_string(b));
  const int64_t m = a[a.size() - 2], k = a.back(), n = b.back();
  const Shape batch(y.begin(), y.end() - 2);
  const int64_t batches = elements_of(batch);
  struct Gradients {
    OperandGradient a, b;
  };
  auto gradients = std::make_shared<Gradients>(
      Gradients{{BatchedProduct(batch, y, {n, 1}, b, {1, n}, m, k, n, c.isa, c.threads),
                 SumTo(with_matrix(batch, m, k), a),
                 {},
                 batches * m * k},
                {BatchedProduct(batch, a, {1, k}, y, {n, 1}, k, n, m, c.isa, c.threads),
                 SumTo(with_matrix(batch, k, n), b),
                 {},
                 batches * k * n}});
  return Backward([gradients](const BackwardBuffers& buffers, ThreadPool& pool) {
    const auto *left = static_cast<const float*>(buffers.x[0]),
               *right = static_cast<const float*>(buffers.x[1]);
    if (buffers.dx[0] != nullptr) gradients->a.run(buffers.dy[0], right, buffers.dx[0], pool);
    if (buffers.dx[1] != nullptr) gradients->b.run(left, buffers.dy[0], buffers.dx[1], pool);
  });
}

}  // namespace narrow::quant::gradient
