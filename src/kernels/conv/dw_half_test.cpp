#include "kernels/conv/narrow_case.h"

namespace narrow::kernels {
ConvCandidate dwconv_half_avx512();

namespace {
using namespace testing_conv;

#define NEEDS_AVX512() \
  if (usable_isa() < Isa::avx512) GTEST_SKIP() << "avx512 not available here"

ConvSpec half_spec(ConvShape s, DType type) {
  s.groups = s.oc = s.c;
  ConvSpec spec;
  spec.shape = s;
  spec.src = spec.weights = type;
  spec.bias = true;
  return spec;
}

void check(const ConvSpec& spec, uint64_t seed) {
  const Case c = make_case(spec, seed);
  const Bytes one = run(dwconv_half_avx512(), c, 1);
  expect_near_reference(c, one);
  for (const int threads : {2, 3})
    EXPECT_EQ(run(dwconv_half_avx512(), c, threads), one) << text(spec) << " threads " << threads;
}

TEST(DwConvHalf, Windows) {
  NEEDS_AVX512();
  for (const DType type : {DType::bf16, DType::f16})
    for (const int64_t channels : {2, 3, 15, 16, 17, 32, 33, 64, 100})
      for (const int64_t kernel : {1, 2, 3, 5})
        for (const int64_t stride : {1, 2, 3})
          for (const int64_t pad : {0, 2})
            check(half_spec(shape(1, 7, 9, channels, 0, kernel, kernel, stride, pad), type), 1);
}

TEST(DwConvHalf, BatchDilationStripsAndUnevenPadding) {
  NEEDS_AVX512();
  for (const int64_t dilation : {1, 2, 5})
    check(half_spec(shape(3, 13, 12, 40, 0, 3, 3, 1, 4, dilation), DType::bf16), 2);
  for (int64_t width = 1; width <= 18; ++width)  // strips of every width
    for (const int64_t stride : {1, 2})
      for (const int64_t kernel : {3, 5})
        check(half_spec(shape(1, 6, width + kernel, 33, 0, kernel, kernel, stride, 2), DType::bf16), 3);
  check(half_spec(shape(1, 2, 3, 33, 0, 5, 5, 1, 40), DType::bf16), 3);  // most outputs see padding alone
  check(half_spec(shape(2, 40, 200, 3, 0, 9, 3, 2, 4, 3), DType::f16), 4);
  ConvShape s = shape(1, 10, 9, 20, 0, 3, 2, 1, 0);
  s.pad_top = 2, s.stride_h = 4, s.stride_w = 2;
  s.oh = 4, s.ow = 6;  // beyond the input on the far side
  check(half_spec(s, DType::bf16), 5);
}

TEST(DwConvHalf, TypesResidualsActivations) {
  NEEDS_AVX512();
  for (const DType dst : {DType::f32, DType::bf16, DType::f16, DType::u8, DType::s8})
    for (const DType residual : {DType::undefined, DType::f32, DType::bf16, DType::f16, DType::u8, DType::s8})
      for (const Activation act :
           {Activation{}, Activation{Act::relu}, Activation{Act::clip, -0.5F, 2}, Activation{Act::gelu}}) {
        ConvSpec spec = half_spec(shape(1, 6, 7, 36, 0, 3, 3, 1, 1), DType::bf16);
        spec.weights = DType::f32;
        spec.dst = dst;
        spec.residual = residual;
        spec.activation = act;
        spec.dst_quant = {0.05F, dst == DType::u8 ? 128 : 3};
        spec.residual_quant = {0.01F, residual == DType::u8 ? 100 : -5};
        check(spec, 6);
      }
}

/// Outputs of the source's type that are only bounded leave by a way of their own: the same numbers, rounded;
/// NaN stays NaN.
TEST(DwConvHalf, HalvesAreRoundedFloats) {
  NEEDS_AVX512();
  for (const DType type : {DType::bf16, DType::f16})
    for (const int64_t kernel : {2, 3, 5})
      for (const int64_t stride : {1, 2})
        for (const Activation act : {Activation{}, Activation{Act::relu}, Activation{Act::clip, -0.5F, 1}}) {
          ConvSpec spec = half_spec(shape(1, 9, 19, 50, 0, kernel, kernel, stride, kernel / 2), type);
          spec.activation = act;
          Case c = make_case(spec, 8);
          for (const float x : {NAN, INFINITY, -INFINITY})
            put(type, c.src.data(),
                static_cast<int64_t>(c.src.size()) / 4 + (std::isnan(x) ? 0
                                                          : x > 0       ? 70
                                                                        : 131),
                x);
          c.spec.dst = DType::f32;
          const Bytes floats = run(dwconv_half_avx512(), c, 1);
          c.spec.dst = type;
          const Bytes halves = run(dwconv_half_avx512(), c, 2);
          int64_t nans = 0;
          for (int64_t i = 0; i < c.outputs(); ++i) {
            const float x = get(DType::f32, floats.data(), i), is = get(type, halves.data(), i);
            Bytes rounded(2);
            put(type, rounded.data(), 0, x);
            nans += std::isnan(x) ? 1 : 0;
            ASSERT_TRUE(is == get(type, rounded.data(), 0) || (std::isnan(is) && std::isnan(x)))
                << text(c.spec) << " at " << i << ": " << is << " for " << x;
          }
          EXPECT_GT(nans, 0) << text(c.spec);
        }
}

TEST(DwConvHalf, ResidualMayBeDst) {
  NEEDS_AVX512();
  ConvSpec spec = half_spec(shape(1, 14, 14, 72, 0, 3, 3, 1, 1), DType::bf16);
  spec.dst = spec.residual = DType::bf16;
  const Case c = make_case(spec, 7);
  EXPECT_EQ(run(dwconv_half_avx512(), c, 2, true), run(dwconv_half_avx512(), c, 1));
}

TEST(DwConvHalf, SaysWhyNot) {
  ConvSpec spec = half_spec(shape(1, 4, 4, 8, 0, 3, 3, 1, 1), DType::bf16);
  EXPECT_EQ(dwconv_half_avx512().unsupported(spec), "");
  spec.src = DType::f32;
  EXPECT_EQ(dwconv_half_avx512().unsupported(spec), "src is f32: wants bf16 or f16");
  spec.shape.oc = 16;
  EXPECT_EQ(dwconv_half_avx512().unsupported(spec), "groups = 8, c = 8, oc = 16: wants depthwise");
}

}  // namespace
}  // namespace narrow::kernels
