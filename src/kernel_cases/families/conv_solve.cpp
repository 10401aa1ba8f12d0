// What a convolution has to give, and how exactly.
//
// Integers: with a bias that leaves sums inside int32 and operations that every instruction set rounds alike,
// bit for bit the reference; a function in whole numbers is one. Other curved activations may be off by what
// kernels/math states; the number they are applied to is exact.
//
// Floats: K products and sums in any order are off by at most eps (K + 8) sum |src weight| (bias and residual
// being two more summands); the activation stretches that by its steepness and adds its own error. Where an
// f32 source meets bf16 weights it may be rounded to bf16 first: 2^-8 of every product. What AMX flushes to 0
// is below 2^-125 per product.
//
// F(2x2, 3x3) sums products of transformed operands: |B' d B| <= 4 max |d|, |G g G'| <= 9/4 max |g|, nine of
// them for an output, so |src| and |weight| there are the largest of the patch, not those that meet.
// Of F(4x4, 3x3) sum_k |A'_ik| (sum_j |B'_kj|) (sum_j |G_kj|) is at most 48, for the last row of A'.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernel_cases/bounds.h"
#include "kernel_cases/families/conv_spec.h"
#include "kernels/lanes/element.h"

namespace narrow::kernel_cases {
namespace {

using kernels::ConvSpec;

/// The sums before the activation, as FP32.
std::vector<float> sums(ConvSpec spec, const kernels::ConvWeights& weights, const void* src,
                        const void* residual, int64_t count) {
  spec.dst = DType::f32, spec.activation = {}, spec.function = nullptr;
  std::vector<float> list(static_cast<size_t>(count));
  kernels::conv_reference(spec, weights, {src, residual, list.data(), nullptr}, true);
  return list;
}

/// sum |src weight| + |bias| + |residual| of every output.
std::vector<float> magnitudes(const ConvOperands& o, const Problem& p) {
  ConvOperands a{o.spec, absolute(o.spec.weights, o.weights), absolute(DType::f32, o.bias)};
  a.spec.residual = DType::undefined;
  const int64_t count = p.outputs[0].count();
  const Bytes src = absolute(o.spec.src, p.inputs[0]);
  std::vector<float> list = sums(a.spec, a.constants(), src.data(), nullptr, count);
  if (o.spec.residual == DType::undefined) return list;
  const std::vector<float> residual =
      reals({o.spec.residual, o.spec.residual_quant}, p.inputs[1].data(), count);
  for (size_t i = 0; i < list.size(); ++i) list[i] += std::fabs(residual[i]);
  return list;
}

constexpr float kMagnitude2 = 81, kMagnitude4 = 48 * 48;

/// max |src| sum_c max_taps |weight| for every output channel; 0 unless the window is 3x3.
std::vector<float> winograd_magnitudes(const ConvOperands& o, const Bytes& src) {
  const kernels::ConvShape& s = o.spec.shape;
  std::vector<float> list(static_cast<size_t>(s.oc));
  if (s.kh != 3 || s.kw != 3 || s.groups != 1) return list;
  float largest = 0;
  for (const float x : reals({o.spec.src, {}}, src.data(), s.n * s.h * s.w * s.c))
    largest = std::max(largest, std::fabs(x));
  const std::vector<float> w = reals({o.spec.weights, {}}, o.weights.data(), s.oc * s.c * 9);
  for (size_t filter = 0; filter < w.size() / 9; ++filter) {
    float tap = 0;
    for (size_t t = 0; t < 9; ++t) tap = std::max(tap, std::fabs(w[filter * 9 + t]));
    list[filter / static_cast<size_t>(s.c)] += largest * tap;
  }
  return list;
}

void bound_floats(const ConvOperands& o, Problem& p) {
  Output& dst = p.outputs[0];
  const kernels::Activation& act = o.spec.activation;
  const void* residual = p.inputs.size() > 1 ? p.inputs[1].data() : nullptr;
  const std::vector<float> x = sums(o.spec, o.constants(), p.inputs[0].data(), residual, dst.count());
  const std::vector<float> magnitude = magnitudes(o, p), winograd = winograd_magnitudes(o, p.inputs[0]);
  const auto terms = static_cast<float>(o.depth() + 8), channels = static_cast<float>(o.spec.shape.c + 16);
  const float source = o.spec.src == DType::f32 && o.spec.weights == DType::bf16 ? 0x1p-8F : 0;
  dst.real.resize(x.size());
  dst.bounds.assign(4, std::vector<float>(x.size()));
  for (size_t i = 0; i < x.size(); ++i) {
    const float y = dst.real[i] = apply(act, x[i]);
    const float beside = activation_error(act, x[i], y) +
                         2 * kEpsilon * (std::fabs(act.beta) + std::fabs(y)) + terms * 0x1p-125F;
    const float direct = (kEpsilon * terms + source) * magnitude[i];
    dst.bounds[kDirect][i] = steepness(act) * direct + beside;
    const float patches = kEpsilon * channels * winograd[i % winograd.size()];
    dst.bounds[kWinograd][i] = steepness(act) * (direct + kMagnitude2 * patches) + beside;
    dst.bounds[kWinograd4][i] = steepness(act) * (direct + kMagnitude4 * patches) + beside;
    // Three sums in one, and what they leave out: low parts are at most 2^-8 of their numbers.
    dst.bounds[kSplit][i] = steepness(act) * (3 * direct + 0x1p-16F * magnitude[i]) + beside;
  }
}

void bound_curved_integers(const ConvOperands& o, Problem& p) {
  Output& dst = p.outputs[0];
  const void* residual = p.inputs.size() > 1 ? p.inputs[1].data() : nullptr;
  const std::vector<float> x = sums(o.spec, o.constants(), p.inputs[0].data(), residual, dst.count());
  dst.real.resize(x.size());
  dst.bounds.assign(1, std::vector<float>(x.size()));
  for (size_t i = 0; i < x.size(); ++i) {
    dst.real[i] = apply(o.spec.activation, x[i]);
    dst.bounds[kDirect][i] = activation_error(o.spec.activation, x[i], dst.real[i]);
  }
}

}  // namespace

void solve_conv(const ConvOperands& o, Problem& p) {
  Output& dst = p.outputs[0];
  dst.want.resize(static_cast<size_t>(dst.bytes()));
  kernels::conv_reference(
      o.spec, o.constants(),
      {p.inputs[0].data(), p.inputs.size() > 1 ? p.inputs[1].data() : nullptr, dst.want.data(), nullptr},
      true);
  if (!is_int8(o.spec.src)) return bound_floats(o, p);
  if (!is_exact(o.spec.activation.kind) && o.spec.function == nullptr) bound_curved_integers(o, p);
}

}  // namespace narrow::kernel_cases
