#include "kernels/conv/narrow_case.h"

namespace narrow::kernels {
ConvCandidate dwconv_int8_1x1_avx512vnni();
ConvCandidate dwconv_int8_1x1_avx2();
ConvCandidate dwconv_int8_flat_avx512vnni();
ConvCandidate dwconv_int8_pairs_avx512vnni();
ConvCandidate dwconv_int8_avx512vnni();
ConvCandidate dwconv_int8_avx2();

namespace {
using namespace testing_conv;

class DwConvInt8 : public testing::TestWithParam<ConvCandidate (*)()> {
 protected:
  void SetUp() override {
    if (usable_isa() < candidate().isa) GTEST_SKIP() << to_string(candidate().isa) << " not available here";
  }
  static ConvCandidate candidate() { return GetParam()(); }

  /// Rows as one line want three columns side by side, few rows and channels in fours; pairs of taps 3x3.
  static bool takes(const ConvShape& s) {
    if (GetParam() == dwconv_int8_flat_avx512vnni)
      return s.c % 4 == 0 && s.kw == 3 && s.kh <= 4 && s.stride_w == 1;
    return GetParam() != dwconv_int8_pairs_avx512vnni || (s.kh == 3 && s.kw == 3);
  }

  /// Equal to the reference, on 1, 2 and 3 threads.
  static void check(const Case& c) {
    if (!takes(c.spec.shape)) {
      ASSERT_NE(candidate().unsupported(c.spec), "") << text(c.spec);
      return;
    }
    ASSERT_EQ(candidate().unsupported(c.spec), "") << text(c.spec);
    const Bytes want = reference(c);
    for (const int threads : {1, 2, 3})
      ASSERT_EQ(run(candidate(), c, threads), want) << text(c.spec) << " threads " << threads;
  }
};

ConvSpec int8_spec(ConvShape s, DType src, DType dst) {
  s.groups = s.oc = s.c;
  ConvSpec spec;
  spec.shape = s;
  spec.src = src;
  spec.weights = DType::s8;
  spec.dst = dst;
  spec.bias = true;
  spec.src_quant = {0.02F, src == DType::u8 ? 131 : -7};
  spec.dst_quant = {0.9F, dst == DType::u8 ? 120 : -3};
  for (int64_t c = 0; c < s.c; ++c) spec.weight_scale.push_back(0.01F + 0.001F * static_cast<float>(c % 13));
  return spec;
}

TEST_P(DwConvInt8, Windows) {
  for (const int64_t channels : {2, 3, 4, 15, 16, 17, 32, 33, 36, 64, 96, 100, 144})
    for (const int64_t kernel : {1, 2, 3, 4, 5, 7})
      for (const int64_t stride : {1, 2, 3})
        for (const int64_t pad : {0, 3})
          for (const int64_t columns : {kernel, int64_t{3}})
            check(make_case(
                int8_spec(shape(1, 8, 9, channels, 0, kernel, columns, stride, pad), DType::u8, DType::u8),
                1));
}

TEST_P(DwConvInt8, BatchDilationStripsAndUnevenPadding) {
  for (const int64_t dilation : {1, 2, 5})
    for (const int64_t channels : {70, 72})
      check(
          make_case(int8_spec(shape(3, 13, 12, channels, 0, 3, 3, 1, 4, dilation), DType::s8, DType::s8), 2));
  for (const int64_t channels : {33, 36})  // wider than one strip
    for (const int64_t stride : {1, 2})
      check(make_case(int8_spec(shape(1, 4, 301, channels, 0, 3, 3, stride, 1), DType::u8, DType::s8), 3));
  for (const int64_t channels : {3, 4})
    check(make_case(int8_spec(shape(2, 30, 200, channels, 0, 9, 3, 2, 4, 3), DType::s8, DType::u8), 4));
  check(make_case(int8_spec(shape(1, 7, 7, 960, 0, 3, 3, 1, 1), DType::u8, DType::u8), 5));  // many channels
  ConvShape s = shape(1, 10, 9, 20, 0, 3, 2, 1, 0);
  s.pad_top = 2, s.stride_h = 4, s.stride_w = 2;
  s.oh = 4, s.ow = 6;  // beyond the input on the far side
  check(make_case(int8_spec(s, DType::u8, DType::u8), 5));
  for (const int64_t channels : {20, 32})
    for (const int64_t columns : {1, 2, 3, 9}) {  // as wide as the window, and less
      ConvShape narrow = shape(2, 5, columns, channels, 0, 3, 3, 1, 2);
      narrow.stride_h = 2, narrow.stride_w = 2;
      narrow.oh = 4, narrow.ow = columns / 2 + 3;
      check(make_case(int8_spec(narrow, DType::s8, DType::u8), 17));
    }
}

TEST_P(DwConvInt8, Extremes) {
  for (const DType src : {DType::u8, DType::s8})
    for (const uint8_t source : {0x00, 0x7f, 0x80, 0xff})
      for (const uint8_t weight : {0x80, 0x7f})
        for (const int32_t zero : {0, 255}) {
          Case c = make_case(int8_spec(shape(1, 9, 8, 68, 0, 4, 3, 1, 2), src, DType::s8), 6);
          c.spec.src_quant.zero_point = src == DType::u8 ? zero : zero - 128;
          std::fill(c.src.begin(), c.src.end(), source);
          std::fill(c.weights.begin(), c.weights.end(), weight);
          check(c);
          c.spec.dst_quant.scale = 1e-12F;  // beyond 2^31
          check(c);
          c.spec.dst_quant.scale =
              1e-45F;  // an infinite multiplier: 0 * Inf is NaN, which gives the low bound
          check(c);
        }
}

/// Integers and clamp-like activations leave no room for rounding; so does everything without a curved
/// activation.
TEST_P(DwConvInt8, TypesResidualsClamps) {
  for (const int64_t channels : {36, 96})
    for (const DType dst : {DType::f32, DType::bf16, DType::f16, DType::u8, DType::s8})
      for (const DType residual :
           {DType::undefined, DType::f32, DType::bf16, DType::f16, DType::u8, DType::s8})
        for (const Activation act : {Activation{}, Activation{Act::relu}, Activation{Act::clip, -0.5F, 60},
                                     Activation{Act::hard_swish}}) {
          ConvSpec spec = int8_spec(shape(1, 6, 7, channels, 0, 3, 3, 1, 1), DType::u8, dst);
          spec.residual = residual;
          spec.activation = act;
          spec.residual_quant = {0.1F, residual == DType::u8 ? 100 : -5};
          check(make_case(spec, 7));
        }
}

TEST_P(DwConvInt8, Functions) {
  for (const int64_t channels : {32, 36, 64, 96})
    for (const DType dst : {DType::u8, DType::s8})
      for (const DType residual : {DType::undefined, DType::u8, DType::s8})
        for (const Activation act : {Activation{Act::silu}, Activation{Act::hard_swish}}) {
          ConvSpec spec = int8_spec(shape(1, 9, 10, channels, 0, 3, 3, 1, 1), DType::u8, dst);
          spec.dst_quant.scale = 0.03F;
          spec.weight_scale.assign(static_cast<size_t>(channels), 0.001F);
          spec.residual = residual;
          spec.activation = act;
          spec.residual_quant = {0.004F, residual == DType::u8 ? 100 : -5};
          give_function(spec);
          ASSERT_NE(spec.function, nullptr);
          check(make_case(spec, 7));
        }
}

/// The commonest finish, and what it must not be used for: factors or sums that leave the integers.
TEST_P(DwConvInt8, ReluWithoutZeroPoint) {
  for (const float scale : {0.9F, 1e-3F, 1e-9F, 1e-45F})
    for (const int64_t channels : {32, 64, 65, 68}) {
      ConvSpec spec = int8_spec(shape(1, 9, 9, channels, 0, 3, 3, 1, 1), DType::u8, DType::u8);
      spec.activation = {Act::relu};
      spec.dst_quant = {scale, 0};
      Case c = make_case(spec, 16);
      check(c);
      std::fill(c.src.begin(), c.src.end(), uint8_t{0xff});
      std::fill(c.weights.begin(), c.weights.end(), uint8_t{0x7f});
      check(c);
    }
}

TEST_P(DwConvInt8, ResidualMayBeDst) {
  ConvSpec spec = int8_spec(shape(1, 14, 14, 72, 0, 3, 3, 1, 1), DType::u8, DType::s8);
  spec.residual = DType::s8;
  const Case c = make_case(spec, 8);
  EXPECT_EQ(run(candidate(), c, 2, true), reference(c));
}

TEST_P(DwConvInt8, OneScaleForAllChannelsAndNoBias) {
  ConvSpec spec = int8_spec(shape(1, 6, 6, 20, 0, 3, 3, 2, 1), DType::u8, DType::u8);
  spec.weight_scale = {0.02F};
  spec.bias = false;
  check(make_case(spec, 9));
}

TEST_P(DwConvInt8, SaysWhyNot) {
  ConvSpec spec = int8_spec(shape(1, 4, 4, 8, 0, 3, 3, 1, 1), DType::u8, DType::u8);
  EXPECT_EQ(candidate().unsupported(spec), "");
  spec.src_quant.zero_point = -1;
  EXPECT_EQ(candidate().unsupported(spec), "zero point -1 lies outside u8");
  spec.src = DType::f32;
  EXPECT_EQ(candidate().unsupported(spec), "src is f32: wants u8 or s8");
}

TEST(DwConvInt8Flat, LeavesOtherWindowsToTheOthers) {
  const auto reason = [](const ConvShape& s) {
    return dwconv_int8_flat_avx512vnni().unsupported(int8_spec(s, DType::u8, DType::u8));
  };
  EXPECT_EQ(reason(shape(1, 9, 9, 8, 0, 3, 3, 1, 1)), "");
  EXPECT_EQ(reason(shape(1, 9, 9, 6, 0, 3, 3, 1, 1)), "c = 6: wants a multiple of 4");
  EXPECT_EQ(reason(shape(1, 9, 9, 8, 0, 5, 3, 1, 1)), "window = 5 x 3: wants up to 4 x 3");
  EXPECT_EQ(reason(shape(1, 9, 9, 8, 0, 3, 3, 2, 1)), "horizontal stride = 2: wants 1");
  EXPECT_EQ(reason(shape(1, 9, 9, 4096, 0, 3, 3, 1, 1)), "c = 4096, dilation = 1: a window does not fit");
}

// ---------------------------------------------------------------- 1x1

ConvSpec pointwise(int64_t n, int64_t h, int64_t w, int64_t channels, DType src, DType dst) {
  return int8_spec(shape(n, h, w, channels, 0, 1, 1, 1, 0), src, dst);
}

class ScaleInt8 : public DwConvInt8 {};

TEST_P(ScaleInt8, TypesChannelsAndPixels) {
  for (const DType src : {DType::u8, DType::s8})
    for (const DType dst : {DType::u8, DType::s8})
      for (const int64_t channels : {2, 15, 31, 32, 33, 63, 64, 65, 130, 1024}) {
        check(make_case(pointwise(1, 1, 1, channels, src, dst), 10));
        check(make_case(pointwise(2, 5, 7, channels, src, dst), 11));
      }
  check(make_case(pointwise(1, 40, 41, 192, DType::u8, DType::u8), 12));  // more than one task a thread
}

TEST_P(ScaleInt8, ClampsScalesNoBias) {
  for (const Activation act : {Activation{Act::relu}, Activation{Act::clip, -0.5F, 20}}) {
    ConvSpec spec = pointwise(1, 6, 7, 100, DType::s8, DType::u8);
    spec.activation = act;
    check(make_case(spec, 13));
    spec.weight_scale = {0.02F};
    spec.bias = false;
    check(make_case(spec, 14));
  }
}

TEST_P(ScaleInt8, Extremes) {
  for (const DType src : {DType::u8, DType::s8})
    for (const uint8_t source : {0x00, 0x7f, 0x80, 0xff})
      for (const uint8_t weight : {0x80, 0x7f})
        for (const float scale : {0.9F, 1e-12F, 1e-45F}) {
          Case c = make_case(pointwise(1, 3, 3, 65, src, DType::s8), 15);
          std::fill(c.src.begin(), c.src.end(), source);
          std::fill(c.weights.begin(), c.weights.end(), weight);
          c.spec.dst_quant.scale = scale;
          check(c);
        }
}

TEST_P(ScaleInt8, LeavesTheRestToTheOthers) {
  ConvSpec spec = pointwise(1, 4, 4, 8, DType::u8, DType::u8);
  EXPECT_EQ(candidate().unsupported(spec), "");
  spec.activation = Activation{Act::hard_swish};
  EXPECT_EQ(candidate().unsupported(spec), "the activation is no clamp");
  spec.residual = DType::u8;
  EXPECT_EQ(candidate().unsupported(spec), "has a residual");
  EXPECT_EQ(candidate().unsupported(int8_spec(shape(1, 8, 8, 8, 0, 1, 1, 2, 0), DType::u8, DType::u8)),
            "window = 1 x 1: wants 1 x 1, no stride, no padding");
}

INSTANTIATE_TEST_SUITE_P(All, ScaleInt8, testing::Values(dwconv_int8_1x1_avx512vnni, dwconv_int8_1x1_avx2),
                         [](const auto& instance) { return std::string(instance.param().name); });
INSTANTIATE_TEST_SUITE_P(All, DwConvInt8,
                         testing::Values(dwconv_int8_flat_avx512vnni, dwconv_int8_pairs_avx512vnni,
                                         dwconv_int8_avx512vnni, dwconv_int8_avx2),
                         [](const auto& instance) { return std::string(instance.param().name); });

}  // namespace
}  // namespace narrow::kernels
