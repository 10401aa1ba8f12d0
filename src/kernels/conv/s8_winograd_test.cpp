// Winograd in whole numbers where sums are as large as they can be: the general tests of candidates hold it
// to the reference on everything else.
#include <gtest/gtest.h>

#include <cstring>
#include <string>

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

std::vector<float> answer(const ConvSpec& spec, int pixel, int weight, const ConvCandidate* candidate) {
  const ConvShape& s = spec.shape;
  const std::vector<uint8_t> src(static_cast<size_t>(s.h * s.w * s.c), static_cast<uint8_t>(pixel));
  const std::vector<int8_t> weights(static_cast<size_t>(s.oc * s.c * 9), static_cast<int8_t>(weight));
  std::vector<float> dst(static_cast<size_t>(s.oh * s.ow * s.oc));
  if (candidate == nullptr) {
    conv_reference(spec, {.weights = weights.data()}, {.src = src.data(), .dst = dst.data()});
    return dst;
  }
  ThreadPool pool(2);
  const auto kernel = candidate->create(spec, candidate->pack(spec, {.weights = weights.data()}), 2);
  AlignedBuffer scratch(kernel->scratch_bytes());
  kernel->run({.src = src.data(), .dst = dst.data(), .scratch = scratch.data()}, pool);
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

}  // namespace
}  // namespace narrow::kernels
