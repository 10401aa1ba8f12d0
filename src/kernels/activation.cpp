#include "kernels/activation.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace narrow::kernels {
namespace {
constexpr std::array kNames = {"none",         "relu",       "clip", "leaky_relu", "sigmoid", "tanh", "silu",
                               "hard_sigmoid", "hard_swish", "gelu", "gelu_tanh",  "elu",     "mish"};

float sigmoid(float x) { return x >= 0 ? 1.0F / (1.0F + std::exp(-x)) : std::exp(x) / (1.0F + std::exp(x)); }
}  // namespace

const char* to_string(Act act) { return kNames.at(static_cast<size_t>(act)); }

float apply(const Activation& a, float x) {
  switch (a.kind) {
    case Act::none:
      return x;
    case Act::relu:
      return std::max(x, 0.0F);
    case Act::clip:
      return std::min(std::max(x, a.alpha), a.beta);
    case Act::leaky_relu:
      return x >= 0 ? x : x * a.alpha;
    case Act::sigmoid:
      return sigmoid(x);
    case Act::tanh:
      return std::tanh(x);
    case Act::silu:
      return x * sigmoid(x);
    case Act::hard_sigmoid:
      return std::max(0.0F, std::min(1.0F, a.alpha * x + a.beta));
    case Act::hard_swish:
      return x * std::max(0.0F, std::min(1.0F, x / 6.0F + 0.5F));
    case Act::gelu:
      return 0.5F * x * (1.0F + std::erf(x * 0.70710678118654752F));
    case Act::gelu_tanh:
      return 0.5F * x * (1.0F + std::tanh(0.7978845608028654F * (x + 0.044715F * x * x * x)));
    case Act::elu:
      return x >= 0 ? x : a.alpha * std::expm1(x);
    case Act::mish:
      return x * std::tanh(std::log1p(std::exp(x)));
  }
  return x;
}

}  // namespace narrow::kernels
