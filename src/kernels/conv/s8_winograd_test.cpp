// Winograd in whole numbers where sums are as large as they can be: the general tests of candidates hold it
// to the reference on everything else.
#include <gtest/gtest.h>

#include <cstring>
#include <string>

#include "base/random.h"
#include "kernels/conv/conv.h"

namespace narrow::kernels {
namespace {

std::vector<ConvCandidate> winograd_candidates() {
  std::vector<ConvCandidate> list;
  for (const ConvCandidate& candidate : conv_candidates())
    if (std::string(candidate.name).starts_with("conv_int8_winograd")) list.push_back(candidate);
  return list;
}

/// All pixels and all weights one number each; sums leave as floats.
ConvSpec spec_of(DType src, int64_t channels) {
  ConvSpec spec;
  spec.shape = {.n = 1, .h = 24, .w = 22, .c = channels, .oh = 24, .ow = 22, .oc = 33, .kh = 3, .kw = 3};
  spec.shape.pad_top = spec.shape.pad_left = 1;
  spec.src = src, spec.weights = DType::s8;
  spec.src_quant = {1.0F, 0};
  spec.weight_scale = {1.0F};
  return spec;
}

struct Operands {
  std::vector<uint8_t> src;
  std::vector<int8_t> weights;
};

std::vector<float> answer(const ConvSpec& spec, const Operands& operands, const ConvCandidate& candidate,
                          int threads) {
  const ConvShape& s = spec.shape;
  std::vector<float> dst(static_cast<size_t>(s.oh * s.ow * s.oc));
  ThreadPool pool(threads);
  const auto packed = candidate.pack(spec, {.weights = operands.weights.data()});
  const auto kernel = candidate.create(spec, packed, threads);
  AlignedBuffer scratch(kernel->scratch_bytes());
  kernel->run({.src = operands.src.data(), .dst = dst.data(), .scratch = scratch.data()}, pool);
  return dst;
}

/// Of the reference where there is no candidate.
std::vector<float> answer(const ConvSpec& spec, int pixel, int weight, const ConvCandidate* candidate) {
  const ConvShape& s = spec.shape;
  const Operands all{std::vector<uint8_t>(static_cast<size_t>(s.h * s.w * s.c), static_cast<uint8_t>(pixel)),
                     std::vector<int8_t>(static_cast<size_t>(s.oc * s.c * 9), static_cast<int8_t>(weight))};
  if (candidate != nullptr) return answer(spec, all, *candidate, 2);
  std::vector<float> dst(static_cast<size_t>(s.oh * s.ow * s.oc));
  conv_reference(spec, {.weights = all.weights.data()}, {.src = all.src.data(), .dst = dst.data()});
  return dst;
}

/// One sum over 128 channels can pass 2^25, beyond which 36 sums modulo 2^32 no longer say which number it
/// was.
TEST(S8Winograd, LargestSumsAreExact) {
  int64_t most = 0;
  for (const ConvCandidate& candidate : winograd_candidates()) {
    if (!runs_here(candidate.isa)) continue;
    for (const auto& [src, pixel] :
         {std::pair{DType::u8, 255}, std::pair{DType::s8, -128}, std::pair{DType::s8, 127}})
      for (const int weight : {-128, 127})
        for (const int64_t channels : {96, 112, 128, 240}) {
          const ConvSpec spec = spec_of(src, channels);
          ASSERT_EQ(candidate.unsupported(spec), "");
          const std::vector<float> expected = answer(spec, pixel, weight, nullptr);
          EXPECT_EQ(answer(spec, pixel, weight, &candidate), expected)
              << candidate.name << " " << channels << " channels, " << pixel << " by " << weight;
          for (const float sum : expected) most = std::max(most, static_cast<int64_t>(std::abs(sum)));
        }
  }
  if (runs_here(Isa::avx2)) {
    EXPECT_EQ(most, 9 * 240 * 255 * 128);
  }
}

/// Weights that are read once for many patches; with the larger ones channels are summed in parts.
TEST(S8Winograd, ManyWeightsGiveWhatThePlainKernelGives) {
  const ConvCandidate& plain = *find_conv_candidate("conv_int8_plain");
  ConvSpec spec = spec_of(DType::u8, 336);
  spec.shape.oc = 280;
  Random random(7);
  for (const int largest : {20, 127}) {
    Operands operands;
    for (int64_t i = 0; i < spec.shape.h * spec.shape.w * spec.shape.c; ++i)
      operands.src.push_back(static_cast<uint8_t>(random.next()));
    for (int64_t i = 0; i < spec.shape.oc * spec.shape.c * 9; ++i)
      operands.weights.push_back(static_cast<int8_t>(random.uniform(-largest, largest + 1)));
    const std::vector<float> expected = answer(spec, operands, plain, 2);
    for (const ConvCandidate& candidate : winograd_candidates()) {
      if (!runs_here(candidate.isa)) continue;
      ASSERT_EQ(candidate.unsupported(spec), "");
      for (const int threads : {1, 2, 5})
        EXPECT_EQ(answer(spec, operands, candidate, threads), expected)
            << candidate.name << " on " << threads << " threads, weights up to " << largest;
    }
  }
}

}  // namespace
}  // namespace narrow::kernels
