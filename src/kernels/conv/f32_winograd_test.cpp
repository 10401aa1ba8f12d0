// Winograd in FP32 on whole numbers that it computes all but exactly, and how far it is off on others: the
// general tests of candidates hold it to bounds that are those of the worst case.
#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "base/random.h"
#include "kernels/conv/conv.h"
#include "numerics/bf16.h"

namespace narrow::kernels {
namespace {

std::vector<ConvCandidate> winograd_candidates() {
  std::vector<ConvCandidate> list;
  for (const ConvCandidate& candidate : conv_candidates())
    if (const std::string name = candidate.name; runs_here(candidate.isa))
      if (name.starts_with("conv_f32_winograd") || name.starts_with("conv_half_winograd"))
        list.push_back(candidate);
  return list;
}

/// Neither all channels at a time, nor whole panels, nor whole patches.
ConvSpec spec_of(bool half) {
  ConvSpec spec;
  spec.shape = {.n = 2, .h = 30, .w = 23, .c = 150, .oh = 30, .ow = 23, .oc = 41, .kh = 3, .kw = 3};
  spec.shape.pad_top = spec.shape.pad_left = 1;
  spec.weights = half ? DType::bf16 : DType::f32;
  return spec;
}

/// Numbers of a case: bf16 weights twice, as floats for the reference.
struct Operands {
  std::vector<float> src, weights;
  std::vector<bf16> halves;
};

template <class F>
Operands operands_of(const ConvShape& s, F&& draw) {
  Operands all;
  for (int64_t i = 0; i < s.n * s.h * s.w * s.c; ++i) all.src.push_back(draw(1.0F));
  for (int64_t i = 0; i < s.oc * s.c * 9; ++i) {
    all.halves.emplace_back(draw(576.0F));  // 24 * 24: what the rows of G divide by
    all.weights.push_back(static_cast<float>(all.halves.back()));
  }
  return all;
}

std::vector<float> answer(const ConvCandidate& candidate, const Operands& operands, int threads) {
  const bool half = std::string(candidate.name).starts_with("conv_half");
  const ConvSpec spec = spec_of(half);
  EXPECT_EQ(candidate.unsupported(spec), "");
  std::vector<float> dst(static_cast<size_t>(spec.shape.n * spec.shape.oh * spec.shape.ow * spec.shape.oc));
  ThreadPool pool(threads);
  const void* weights = half ? static_cast<const void*>(operands.halves.data()) : operands.weights.data();
  const auto kernel = candidate.create(spec, candidate.pack(spec, {.weights = weights}), threads);
  AlignedBuffer scratch(kernel->scratch_bytes());
  kernel->run({.src = operands.src.data(), .dst = dst.data(), .scratch = scratch.data()}, pool);
  return dst;
}

std::vector<float> exact(const Operands& operands) {
  const ConvSpec spec = spec_of(false);
  std::vector<float> dst(static_cast<size_t>(spec.shape.n * spec.shape.oh * spec.shape.ow * spec.shape.oc));
  conv_reference(spec, {.weights = operands.weights.data()}, {.src = operands.src.data(), .dst = dst.data()},
                 true);
  return dst;
}

/// Sums are multiples of 576, of which the roundings of sixths leave some 1e-3.
TEST(F32Winograd, WholeNumbersComeOutWhole) {
  Random random(3);
  const Operands operands = operands_of(
      spec_of(false).shape, [&](float unit) { return unit * static_cast<float>(random.integer(-2, 2)); });
  const std::vector<float> expected = exact(operands);
  for (const ConvCandidate& candidate : winograd_candidates())
    for (const int threads : {1, 3}) {
      const std::vector<float> got = answer(candidate, operands, threads);
      float furthest = 0;
      for (size_t i = 0; i < got.size(); ++i) furthest = std::max(furthest, std::fabs(got[i] - expected[i]));
      EXPECT_LT(furthest, 1.0F) << candidate.name << " on " << threads << " threads";
    }
}

/// F(4x4, 3x3) leaves 100 dB: rounding a result to bf16 leaves 50, to f16 70.
TEST(F32Winograd, NoiseIsFarBelowThatOfHalves) {
  Random random(4);
  const Operands operands =
      operands_of(spec_of(false).shape, [&](float unit) { return unit * random.normal(); });
  const std::vector<float> expected = exact(operands);
  for (const ConvCandidate& candidate : winograd_candidates()) {
    const std::vector<float> got = answer(candidate, operands, 2);
    double signal = 0, noise = 0;
    for (size_t i = 0; i < got.size(); ++i) {
      signal += static_cast<double>(expected[i]) * expected[i];
      noise += std::pow(static_cast<double>(got[i]) - expected[i], 2);
    }
    EXPECT_GT(10 * std::log10(signal / noise), 100) << candidate.name;
  }
}

}  // namespace
}  // namespace narrow::kernels
