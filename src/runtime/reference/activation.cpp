// Activations: element by element, formulas as in the ONNX specification.
#include <algorithm>
#include <cmath>

#include "runtime/reference/functions.h"

namespace narrow::runtime::reference {
namespace {

/// y = f(x) for every element of a float tensor.
template <class F>
Outputs map(const ir::Node& node, Inputs inputs, F f) {
  const Tensor& x = *inputs[0];
  return for_floats(node, x.dtype(), [&](auto tag) -> Outputs {
    using T = decltype(tag);
    NARROW_TRY(Tensor y, make_tensor(node, x.dtype(), x.shape()));
    std::transform(x.data<T>().begin(), x.data<T>().end(), y.mutable_data<T>().begin(), f);
    return one(std::move(y));
  });
}

/// Written so that exp never overflows.
template <class T>
T sigmoid(T x) {
  return x >= 0 ? 1 / (1 + std::exp(-x)) : std::exp(x) / (1 + std::exp(x));
}

/// log(1 + exp(x)) without overflow.
template <class T>
T softplus(T x) {
  return std::max(x, T{0}) + std::log1p(std::exp(-std::abs(x)));
}

}  // namespace

Outputs eval_leaky_relu(const ir::Node& node, Inputs inputs) {
  const float alpha = node.float_attr("alpha", 0.01F);
  return map(node, inputs, [=](auto x) { return x >= 0 ? x : x * alpha; });
}

Outputs eval_elu(const ir::Node& node, Inputs inputs) {
  const float alpha = node.float_attr("alpha", 1.0F);
  return map(node, inputs, [=](auto x) { return x >= 0 ? x : alpha * std::expm1(x); });
}

Outputs eval_selu(const ir::Node& node, Inputs inputs) {
  const float alpha = node.float_attr("alpha", 1.67326319217681884765625F);
  const float gamma = node.float_attr("gamma", 1.05070102214813232421875F);
  return map(node, inputs, [=](auto x) { return gamma * (x > 0 ? x : alpha * std::expm1(x)); });
}

Outputs eval_celu(const ir::Node& node, Inputs inputs) {
  const float alpha = node.float_attr("alpha", 1.0F);
  return map(node, inputs, [=](auto x) { return x >= 0 ? x : alpha * std::expm1(x / alpha); });
}

Outputs eval_thresholded_relu(const ir::Node& node, Inputs inputs) {
  const float alpha = node.float_attr("alpha", 1.0F);
  return map(node, inputs, [=](auto x) { return x > alpha ? x : decltype(x){0}; });
}

Outputs eval_sigmoid(const ir::Node& node, Inputs inputs) {
  return map(node, inputs, [](auto x) { return sigmoid(x); });
}

Outputs eval_hard_sigmoid(const ir::Node& node, Inputs inputs) {
  const float alpha = node.float_attr("alpha", 0.2F), beta = node.float_attr("beta", 0.5F);
  return map(node, inputs, [=](auto x) {
    using T = decltype(x);
    return std::max(T{0}, std::min(T{1}, alpha * x + beta));
  });
}

Outputs eval_hard_swish(const ir::Node& node, Inputs inputs) {
  return map(node, inputs, [](auto x) {
    using T = decltype(x);
    return x * std::max(T{0}, std::min(T{1}, x / 6 + T{0.5}));
  });
}

Outputs eval_swish(const ir::Node& node, Inputs inputs) {
  const float alpha = node.float_attr("alpha", 1.0F);
  return map(node, inputs, [=](auto x) { return x * sigmoid(alpha * x); });
}

Outputs eval_mish(const ir::Node& node, Inputs inputs) {
  return map(node, inputs, [](auto x) { return x * std::tanh(softplus(x)); });
}

Outputs eval_tanh(const ir::Node& node, Inputs inputs) {
  return map(node, inputs, [](auto x) { return std::tanh(x); });
}

Outputs eval_gelu(const ir::Node& node, Inputs inputs) {
  if (node.string_attr("approximate", "none") == "tanh")
    return map(node, inputs, [](auto x) {
      using T = decltype(x);
      return T{0.5} * x * (1 + std::tanh(T(0.79788456080286535588) * (x + T(0.044715) * x * x * x)));
    });
  return map(node, inputs, [](auto x) {
    using T = decltype(x);
    return T{0.5} * x * (1 + std::erf(x * T(0.70710678118654752440)));
  });
}

Outputs eval_softplus(const ir::Node& node, Inputs inputs) {
  return map(node, inputs, [](auto x) { return softplus(x); });
}

Outputs eval_softsign(const ir::Node& node, Inputs inputs) {
  return map(node, inputs, [](auto x) { return x / (1 + std::abs(x)); });
}

Outputs eval_relu(const ir::Node& node, Inputs inputs) {
  const Tensor& x = *inputs[0];
  return for_numbers(node, x.dtype(), [&](auto tag) -> Outputs {
    using T = decltype(tag);
    NARROW_TRY(Tensor y, make_tensor(node, x.dtype(), x.shape()));
    std::transform(x.data<T>().begin(), x.data<T>().end(), y.mutable_data<T>().begin(),
                   [](T v) { return v < T{0} ? T{0} : v; });  // NaN stays
    return one(std::move(y));
  });
}

/// y = min(max(x, low), high): a low above high gives high. An absent bound does not bound; NaN stays.
Outputs eval_clip(const ir::Node& node, Inputs inputs) {
  const Tensor& x = *inputs[0];
  const Tensor* bounds[2] = {optional_input(inputs, 1), optional_input(inputs, 2)};
  for (const Tensor* bound : bounds)
    if (bound != nullptr && (bound->dtype() != x.dtype() || bound->elements() != 1))
      return invalid(node, "scalar bounds of the data's type", to_string(bound->shape()));
  return for_numbers(node, x.dtype(), [&](auto tag) -> Outputs {
    using T = decltype(tag);
    NARROW_TRY(Tensor y, make_tensor(node, x.dtype(), x.shape()));
    const auto src = x.data<T>();
    const auto dst = y.mutable_data<T>();
    for (size_t i = 0; i < src.size(); ++i) {
      T v = src[i];
      if (bounds[0] != nullptr && v < bounds[0]->data<T>()[0]) v = bounds[0]->data<T>()[0];
      if (bounds[1] != nullptr && v > bounds[1]->data<T>()[0]) v = bounds[1]->data<T>()[0];
      dst[i] = v;
    }
    return one(std::move(y));
  });
}

Outputs eval_swiglu(const ir::Node& node, Inputs inputs) {
  const Tensor &a = *inputs[0], &b = *inputs[1];
  if (a.shape() != b.shape() || a.dtype() != b.dtype())
    return invalid(node, "B like A, " + to_string(a.shape()), to_string(b.shape()));
  const float alpha = node.float_attr("alpha", 1);
  return for_floats(node, a.dtype(), [&](auto tag) -> Outputs {
    using T = decltype(tag);
    NARROW_TRY(Tensor y, make_tensor(node, a.dtype(), a.shape()));
    std::transform(
        a.data<T>().begin(), a.data<T>().end(), b.data<T>().begin(), y.mutable_data<T>().begin(),
        [=](T gate, T value) { return gate / (1 + std::exp(-static_cast<T>(alpha) * gate)) * value; });
    return one(std::move(y));
  });
}

}  // namespace narrow::runtime::reference
