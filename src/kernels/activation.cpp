#include "kernels/activation.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace narrow::kernels {
namespace {
constexpr std::array kNames = {"none",         "relu",       "clip", "leaky_relu", "sigmoid", "tanh", "silu",
                               "hard_sigmoid", "hard_swish", "gelu", "gelu_tanh",  "elu",     "mish"};

template <class T>
T sigmoid(T x) {
  return x >= 0 ? T{1} / (T{1} + std::exp(-x)) : std::exp(x) / (T{1} + std::exp(x));
}

/// The definition, with constants as near as T holds them.
template <class T>
T apply_in(const Activation& a, T x) {
  const T alpha = a.alpha, beta = a.beta;
  switch (a.kind) {
    case Act::none:
      return x;
    case Act::relu:
      return std::max(x, T{0});
    case Act::clip:
      return std::min(std::max(x, alpha), beta);
    case Act::leaky_relu:
      return x >= 0 ? x : x * alpha;
    case Act::sigmoid:
      return sigmoid(x);
    case Act::tanh:
      return std::tanh(x);
    case Act::silu:
      return x * sigmoid(x);
    case Act::hard_sigmoid:
      return std::max(T{0}, std::min(T{1}, alpha * x + beta));
    case Act::hard_swish:
      return x * std::max(T{0}, std::min(T{1}, x / T{6} + T{0.5}));
    case Act::gelu:
      return T{0.5} * x * (T{1} + std::erf(x * static_cast<T>(0.70710678118654752)));
    case Act::gelu_tanh:
      return T{0.5} * x *
             (T{1} +
              std::tanh(static_cast<T>(0.7978845608028654) * (x + static_cast<T>(0.044715) * x * x * x)));
    case Act::elu:
      return x >= 0 ? x : alpha * std::expm1(x);
    case Act::mish:
      return x * std::tanh(std::log1p(std::exp(x)));
  }
  return x;
}
}  // namespace

const char* to_string(Act act) { return kNames.at(static_cast<size_t>(act)); }

float apply(const Activation& activation, float x) { return apply_in(activation, x); }
double apply_exactly(const Activation& activation, double x) { return apply_in(activation, x); }

}  // namespace narrow::kernels
