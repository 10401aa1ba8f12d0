// Element-wise functions that a convolution or matrix product applies to its result before storing it.
#pragma once

#include <cstdint>

namespace narrow::kernels {

enum class Act : uint8_t {
  none,
  relu,
  clip,
  leaky_relu,
  sigmoid,
  tanh,
  silu,
  hard_sigmoid,
  hard_swish,
  gelu,
  gelu_tanh,
  elu,
  mish
};

/// clip: alpha = low, beta = high. leaky_relu, elu: alpha = slope. hard_sigmoid: max(0, min(1, alpha x +
/// beta)).
struct Activation {
  Act kind = Act::none;
  float alpha = 0, beta = 0;
  /// none, relu and clip only bound the value: integers clamp instead of computing.
  bool is_clamp() const { return kind == Act::none || kind == Act::relu || kind == Act::clip; }
};

const char* to_string(Act act);

/// The plain definition, in FP32 with the C library's functions.
float apply(const Activation& activation, float x);
/// The same in double.
double apply_exactly(const Activation& activation, double x);

}  // namespace narrow::kernels
