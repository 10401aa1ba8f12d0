// Bytes whose products are added in 16 bits, at the bound of what these hold: each number of crowded fours
// and pairs, at each place of a row. The general tests of candidates hold the kernel to the reference on
// everything else.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "base/random.h"
#include "kernels/conv/conv.h"

namespace narrow::kernels {
namespace {

const ConvCandidate* bytes_candidate() {
  for (const ConvCandidate& candidate : conv_candidates())
    if (std::string(candidate.name) == "conv_int8_bytes_avx2") return &candidate;
  return nullptr;
}

ConvSpec spec_of(int64_t pixels, int64_t channels, int64_t window, int64_t groups) {
  ConvSpec spec;
  spec.shape = {
      .n = 1, .h = 1, .w = pixels, .c = channels, .oh = 1, .ow = pixels, .oc = 18, .kh = 1, .kw = window};
  spec.shape.pad_left = window / 2;
  spec.shape.groups = groups;
  spec.src = DType::u8, spec.weights = DType::s8;
  spec.src_quant = {1.0F, 0};
  spec.weight_scale = {1.0F};
  return spec;
}

/// What two pairs that are added in 16 bits hold, least to most crowded; 256 is the most these take.
constexpr uint8_t kFours[][4] = {{64, 64, 64, 64}, {255, 1, 0, 0},     {0, 128, 128, 0},    {1, 0, 255, 0},
                                 {65, 64, 64, 64}, {255, 1, 0, 1},     {128, 128, 1, 0},    {0, 0, 255, 2},
                                 {129, 128, 0, 0}, {255, 255, 255, 1}, {255, 255, 255, 255}};
constexpr int kFirstCrowded = 4;

/// One of `crowded_in` fours is crowded (none: 0), each four at random.
std::vector<uint8_t> pixels_of(const ConvSpec& spec, int crowded_in, Random& random) {
  const int64_t c = spec.shape.c, kinds = std::size(kFours);
  std::vector<uint8_t> src(static_cast<size_t>(spec.shape.w * c));
  for (int64_t pixel = 0; pixel < spec.shape.w; ++pixel)
    for (int64_t k = 0; k < c; k += 8)
      for (int64_t half = 0; half < 4; half += 2) {
        const bool crowded = crowded_in != 0 && random.integer(1, crowded_in) == 1;
        const uint8_t* four =
            kFours[crowded ? random.integer(kFirstCrowded, kinds - 1) : random.integer(0, kFirstCrowded - 1)];
        for (const int64_t at : {0, 1, 4, 5})
          if (k + half + at < c)
            src[static_cast<size_t>(pixel * c + k + half + at)] = four[at % 4 + at / 4 * 2];
      }
  return src;
}

/// All `weight`, or at random where that is 0: small ones in the first group.
std::vector<int8_t> weights_of(const ConvSpec& spec, int weight, Random& random) {
  const ConvShape& s = spec.shape;
  std::vector<int8_t> weights(static_cast<size_t>(s.oc * s.kw * s.c / s.groups), static_cast<int8_t>(weight));
  if (weight != 0) return weights;
  for (size_t i = 0; i < weights.size(); ++i)
    weights[i] = static_cast<int8_t>(random.integer(-128, 127) / (i < weights.size() / 2 ? 8 : 1));
  return weights;
}

struct Answers {
  std::vector<float> expected, actual;
};

Answers answers(const ConvCandidate& candidate, const ConvSpec& spec, const std::vector<uint8_t>& src,
                const std::vector<int8_t>& weights) {
  const auto outputs = static_cast<size_t>(spec.shape.ow * spec.shape.oc);
  Answers both{std::vector<float>(outputs), std::vector<float>(outputs)};
  conv_reference(spec, {.weights = weights.data()}, {.src = src.data(), .dst = both.expected.data()});
  ThreadPool pool(1);
  const auto kernel = candidate.create(spec, candidate.pack(spec, {.weights = weights.data()}), 1);
  AlignedBuffer scratch(kernel->scratch_bytes());
  kernel->run({.src = src.data(), .dst = both.actual.data(), .scratch = scratch.data()}, pool);
  return both;
}

TEST(S8Bytes, SumsAtTheBoundOf16BitsAreExact) {
  const ConvCandidate* candidate = bytes_candidate();
  ASSERT_NE(candidate, nullptr);
  if (!runs_here(candidate->isa)) GTEST_SKIP() << "no AVX2 here";
  Random random(5);
  for (const int64_t channels : {1, 4, 8, 12, 28, 32, 36, 60, 64, 100, 256, 1028})
    for (const auto& [window, groups] : {std::pair{1, 1}, std::pair{3, 1}, std::pair{1, 2}})
      for (const int crowded_in : {0, 1, 2, 4, 8, 16, 100})
        for (const int weight : {-128, 127, 0}) {
          if (channels % groups != 0) continue;
          const ConvSpec spec = spec_of(13, channels, window, groups);
          ASSERT_EQ(candidate->unsupported(spec), "");
          const std::vector<int8_t> weights = weights_of(spec, weight, random);
          const Answers both = answers(*candidate, spec, pixels_of(spec, crowded_in, random), weights);
          ASSERT_EQ(both.actual, both.expected)
              << channels << " channels in " << groups << ", window " << window << ", one four of "
              << crowded_in << " crowded, weights " << weight;
        }
}

}  // namespace
}  // namespace narrow::kernels
