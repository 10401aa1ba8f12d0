// Convolutions by products of bf16 numbers: in AMX tiles, and by vdpbf16ps wherever the instruction is, fast
// or not.
#include "kernels/conv/narrow_case.h"

namespace narrow::kernels {
ConvCandidate conv_bf16_amx();
ConvCandidate conv_bf16_avx512bf16();
ConvCandidate conv_f16_amx();

namespace {
using namespace testing_conv;

#define NEEDS_AMX() \
  if (usable_isa() < Isa::amx) GTEST_SKIP() << "amx not available here"

ConvSpec bf16_spec(const ConvShape& s) {
  ConvSpec spec;
  spec.shape = s;
  spec.src = spec.weights = DType::bf16;
  spec.bias = true;
  return spec;
}

class ConvBf16 : public testing::TestWithParam<ConvCandidate> {
 protected:
  void SetUp() override {
    if (!runs_here(GetParam().isa)) GTEST_SKIP() << to_string(GetParam().isa) << " not available here";
  }
  static Bytes run(const Case& c, int threads, bool residual_is_dst = false) {
    return testing_conv::run(GetParam(), c, threads, residual_is_dst);
  }
  static void check(const ConvSpec& spec, uint64_t seed) {
    const Case c = make_case(spec, seed);
    const Bytes one = run(c, 1);
    expect_near_reference(c, one);
    for (const int threads : {2, 3}) EXPECT_EQ(run(c, threads), one) << text(spec) << " threads " << threads;
  }
};

TEST_P(ConvBf16, Products) {
  for (const int64_t m : {1, 2, 15, 16, 17, 31, 32, 33, 49, 100})
    for (const int64_t k : {1, 2, 7, 24, 32, 33, 64, 70, 144})
      for (const int64_t n : {1, 16, 17, 40}) check(bf16_spec(shape(1, 1, m, k, n, 1, 1, 1, 0)), 1);
}

TEST_P(ConvBf16, Windows) {
  for (const int64_t size : {5, 8, 13})
    for (const int64_t channels : {1, 3, 15, 16, 32, 33, 48, 64})
      for (const int64_t kernel : {1, 2, 3, 5})
        for (const int64_t stride : {1, 2, 3})
          for (const int64_t pad : {0, 1, 2}) {
            const ConvShape s = shape(1, size, size + 2, channels, 20, kernel, kernel, stride, pad);
            check(bf16_spec(s), 2);
          }
}

TEST_P(ConvBf16, BatchDilationAndUnevenPadding) {
  for (const int64_t batch : {1, 3})
    for (const int64_t dilation : {1, 2, 3})
      check(bf16_spec(shape(batch, 9, 8, 24, 33, 3, 3, 1, 2, dilation)), 3);
  ConvShape s = shape(2, 10, 9, 12, 18, 3, 2, 1, 0);
  s.pad_top = 2, s.pad_left = 0, s.stride_h = 3, s.stride_w = 2;
  s.oh = 5, s.ow = 5;  // beyond the input on the far side
  check(bf16_spec(s), 4);
  s.pad_left = 4, s.ow = 3, s.w = 3;
  check(bf16_spec(s), 5);
  s.pad_left = 1, s.pad_top = 0, s.ow = 6, s.oh = 12, s.kh = s.kw = 1;
  check(bf16_spec(s), 6);
  ConvShape rectangle = shape(1, 6, 30, 40, 32, 1, 7, 1, 0);
  rectangle.pad_left = 3, rectangle.ow = 30;
  check(bf16_spec(rectangle), 7);
}

TEST_P(ConvBf16, TypesResidualsActivations) {
  for (const DType dst : {DType::f32, DType::bf16, DType::f16, DType::u8, DType::s8})
    for (const DType residual : {DType::undefined, DType::f32, DType::bf16, DType::f16, DType::u8, DType::s8})
      for (const Activation act :
           {Activation{}, Activation{Act::relu}, Activation{Act::clip, -0.5F, 2}, Activation{Act::gelu}}) {
        ConvSpec spec = bf16_spec(shape(1, 7, 6, 40, 36, 3, 3, 1, 1));
        spec.dst = dst;
        spec.residual = residual;
        spec.activation = act;
        spec.dst_quant = {0.05F, dst == DType::u8 ? 128 : 3};
        spec.residual_quant = {0.01F, residual == DType::u8 ? 100 : -5};
        check(spec, 8);
      }
}

// ---------------------------------------------------------------- f16 as two bf16 numbers

ConvSpec f16_spec(const ConvShape& s) {
  ConvSpec spec = bf16_spec(s);
  spec.src = spec.weights = spec.dst = DType::f16;
  return spec;
}

void check_f16(const Case& c) {
  const Bytes one = run(conv_f16_amx(), c, 1);
  expect_near_reference(c, one, 3, 0x1p-16);  // low * low is left out
  for (const int threads : {2, 3})
    EXPECT_EQ(run(conv_f16_amx(), c, threads), one) << text(c.spec) << " threads " << threads;
}

TEST(ConvF16Amx, ProductsAndWindows) {
  NEEDS_AMX();
  for (const int64_t m : {1, 16, 17, 33, 100})
    for (const int64_t k : {1, 3, 24, 32, 70, 1100})
      for (const int64_t n : {1, 17, 40}) check_f16(make_case(f16_spec(shape(1, 1, m, k, n, 1, 1, 1, 0)), 1));
  for (const int64_t channels : {1, 3, 15, 33, 64})
    for (const int64_t kernel : {1, 2, 3, 7})
      for (const int64_t stride : {1, 2})
        for (const int64_t pad : {0, 2})
          check_f16(make_case(f16_spec(shape(2, 13, 11, channels, 20, kernel, kernel, stride, pad)), 2));
}

TEST(ConvF16Amx, TypesResidualsActivations) {
  NEEDS_AMX();
  for (const DType dst : {DType::f32, DType::bf16, DType::f16, DType::u8})
    for (const DType residual : {DType::undefined, DType::f32, DType::f16})
      for (const Activation act : {Activation{}, Activation{Act::relu}, Activation{Act::clip, -0.5F, 2}}) {
        ConvSpec spec = f16_spec(shape(1, 7, 6, 40, 36, 3, 3, 1, 1));
        spec.dst = dst;
        spec.residual = residual;
        spec.activation = act;
        spec.dst_quant = {0.05F, 128};
        check_f16(make_case(spec, 8));
      }
}

/// What either part alone would not give: numbers of eleven bits, subnormals, the largest.
TEST(ConvF16Amx, EveryBitCounts) {
  NEEDS_AMX();
  const std::vector<float> numbers = {2047, -1025, 0x1p-24F, -1023 * 0x1p-24F, 65504, 0x1.554p-3F, 1, 0};
  const auto count = static_cast<int64_t>(numbers.size());
  for (const bool in_weights : {false, true}) {
    Case c = make_case(f16_spec(shape(1, 1, count, 1, count, 1, 1, 1, 0)), 3);
    c.spec.dst = DType::f32;
    c.spec.bias = false;
    for (int64_t i = 0; i < count; ++i) {
      put(DType::f16, c.src.data(), i, in_weights ? 1 : numbers[static_cast<size_t>(i)]);
      put(DType::f16, c.weights.data(), i, in_weights ? numbers[static_cast<size_t>(i)] : 1);
    }
    const Bytes got = run(conv_f16_amx(), c, 1);
    for (int64_t i = 0; i < count; ++i)
      for (int64_t j = 0; j < count; ++j)
        EXPECT_EQ(get(DType::f32, got.data(), i * count + j),
                  numbers[static_cast<size_t>(in_weights ? j : i)]);
  }
}

TEST(ConvF16Amx, SaysWhyNot) {
  ConvSpec spec = f16_spec(shape(1, 4, 4, 8, 8, 1, 1, 1, 0));
  EXPECT_EQ(conv_f16_amx().unsupported(spec), "");
  spec.src = DType::f32;
  EXPECT_EQ(conv_f16_amx().unsupported(spec), "src is f32: wants f16");
}

TEST_P(ConvBf16, SingleSourceRoundsToBf16) {
  for (const ConvShape& s : {shape(1, 12, 11, 3, 32, 3, 3, 2, 1), shape(1, 5, 5, 64, 32, 1, 1, 1, 0),
                             shape(2, 9, 9, 20, 8, 3, 3, 1, 1)}) {
    Case narrow_case = make_case(bf16_spec(s), 9), wide_case = narrow_case;
    wide_case.spec.src = DType::f32;
    const int64_t n = s.n * s.h * s.w * s.c;
    wide_case.src.resize(static_cast<size_t>(n) * 4);
    Random random(10);
    for (int64_t i = 0; i < n; ++i) {
      const auto x = static_cast<float>(random.uniform(-4, 4));
      put(DType::f32, wide_case.src.data(), i, x);
      put(DType::bf16, narrow_case.src.data(), i, x);
    }
    EXPECT_EQ(run(wide_case, 2), run(narrow_case, 2));
  }
}

TEST_P(ConvBf16, ResidualMayBeDst) {
  ConvSpec spec = bf16_spec(shape(1, 14, 14, 64, 72, 1, 1, 1, 0));
  spec.dst = spec.residual = DType::bf16;
  spec.activation = {Act::relu};
  const Case c = make_case(spec, 11);
  EXPECT_EQ(run(c, 2, true), run(c, 1));
}

TEST_P(ConvBf16, NotANumberStaysInItsWindow) {
  for (const int64_t channels : {3, 24, 33, 64}) {
    Case c = make_case(bf16_spec(shape(1, 9, 9, channels, 17, 3, 3, 1, 1)), 12);
    put(DType::bf16, c.src.data(), (4 * 9 + 4) * channels, NAN);
    const Bytes got = run(c, 1);
    for (int64_t i = 0; i < c.outputs(); ++i) {
      const int64_t x = i / 17 % 9, y = i / 17 / 9;
      const bool inside = x >= 3 && x <= 5 && y >= 3 && y <= 5;
      EXPECT_EQ(std::isnan(get(DType::f32, got.data(), i)), inside) << channels << " at " << y << "," << x;
    }
  }
}

TEST_P(ConvBf16, SaysWhyNot) {
  ConvSpec spec = bf16_spec(shape(1, 4, 4, 8, 8, 3, 3, 1, 1));
  EXPECT_EQ(GetParam().unsupported(spec), "");
  spec.weights = DType::f32;
  EXPECT_EQ(GetParam().unsupported(spec), "weights are f32: wants bf16");
}

/// Neither the number of rows in a pixel's block nor those around it show in its sums.
TEST_P(ConvBf16, PixelsDoNotSeeTheirBlock) {
  constexpr int64_t kPixels = 61;
  ConvSpec spec = bf16_spec(shape(1, 1, kPixels, 70, 40, 1, 1, 1, 0));
  const Case all = make_case(spec, 13);
  const Bytes together = run(all, 1);
  const size_t src_pixel = 70 * 2, dst_pixel = together.size() / kPixels;
  for (const int64_t count : {1, 2, 5, 8, 15, 33})
    for (int64_t first = 0; first + count <= kPixels; first += 7) {
      Case few = all;
      few.spec.shape.w = few.spec.shape.ow = count;
      const auto src = all.src.begin() + static_cast<ptrdiff_t>(first * static_cast<int64_t>(src_pixel));
      few.src.assign(src, src + static_cast<ptrdiff_t>(count * static_cast<int64_t>(src_pixel)));
      const auto want = together.begin() + static_cast<ptrdiff_t>(first * static_cast<int64_t>(dst_pixel));
      EXPECT_EQ(run(few, 1),
                Bytes(want, want + static_cast<ptrdiff_t>(count * static_cast<int64_t>(dst_pixel))))
          << count << " from " << first;
    }
}

/// Sums leave in 16 bits by other ways than in 32, from registers or memory: the same numbers, rounded.
TEST_P(ConvBf16, HalvesAreRoundedFloats) {
  for (const int64_t m : {1, 3, 4, 7, 11, 14, 28, 45})
    for (const int64_t n : {8, 16, 17, 32, 44, 64})
      for (const DType half : {DType::bf16, DType::f16})
        for (const bool residual : {false, true})
          for (const Activation act : {Activation{Act::relu}, Activation{Act::clip, -0.5F, 1}}) {
            ConvSpec spec = bf16_spec(shape(1, 1, m, 22, n, 1, 1, 1, 0));
            spec.residual = residual ? half : DType::undefined;
            spec.activation = act;
            Case c = make_case(spec, 15);
            c.spec.dst = DType::f32;
            const Bytes floats = run(c, 1);
            c.spec.dst = half;
            const Bytes halves = run(c, 1);
            for (int64_t i = 0; i < c.outputs(); ++i) {
              Bytes rounded(2);
              put(half, rounded.data(), 0, get(DType::f32, floats.data(), i));
              ASSERT_EQ(get(half, halves.data(), i), get(half, rounded.data(), 0))
                  << text(c.spec) << " " << i;
            }
            EXPECT_EQ(run(c, 3), halves) << text(c.spec);
            if (residual) {
              EXPECT_EQ(run(c, 1, true), halves) << text(c.spec);
            }
          }
}

/// Numbers below 2^-126 count as zero, as operands and as results; infinities and NaN pass.
TEST_P(ConvBf16, SubnormalsAreZero) {
  ConvSpec spec = bf16_spec(shape(1, 1, 6, 2, 3, 1, 1, 1, 0));
  spec.bias = false;
  spec.dst = DType::f32;
  Case c = make_case(spec, 14);
  const float sources[] = {0x1p-130F, 0x1p-70F, 0x1p-120F, INFINITY, NAN, 3};
  const float weights[] = {1, 0x1p-60F, 0x1p-6F};
  for (int64_t i = 0; i < 6; ++i) {
    put(DType::bf16, c.src.data(), 2 * i, sources[i]);
    put(DType::bf16, c.src.data(), 2 * i + 1, 0);
  }
  for (int64_t o = 0; o < 3; ++o) {
    put(DType::bf16, c.weights.data(), 2 * o, weights[o]);
    put(DType::bf16, c.weights.data(), 2 * o + 1, 1);
  }
  const Bytes got = run(c, 1);
  for (int64_t i = 0; i < 6; ++i)
    for (int64_t o = 0; o < 3; ++o) {
      const auto flushed = [](float x) { return std::fabs(x) < 0x1p-126F ? 0 : x; };
      const float want = flushed(flushed(sources[i]) * weights[o]),
                  is = get(DType::f32, got.data(), i * 3 + o);
      EXPECT_TRUE(is == want || (std::isnan(is) && std::isnan(want)))
          << sources[i] << " * " << weights[o] << ": " << is;
    }
}

INSTANTIATE_TEST_SUITE_P(All, ConvBf16, testing::Values(conv_bf16_amx(), conv_bf16_avx512bf16()),
                         [](const auto& test) { return std::string(test.param.name); });

// ---------------------------------------------------------------- groups

class ConvBf16Groups : public ConvBf16 {
 protected:
  static ConvSpec grouped(int64_t groups, ConvShape s) {
    s.c *= groups, s.oc *= groups, s.groups = groups;
    return bf16_spec(s);
  }
};

TEST_P(ConvBf16Groups, ChannelsOutputsWindows) {
  for (const int64_t groups : {2, 5})
    for (const int64_t channels : {2, 8, 17, 34, 70})
      for (const int64_t outputs : {1, 16, 20, 33})
        for (const int64_t kernel : {1, 3})
          for (const int64_t stride : {1, 2})
            check(grouped(groups, shape(1, 7, 6, channels, outputs, kernel, kernel, stride, kernel / 2)), 16);
}

TEST_P(ConvBf16Groups, BatchDilationTypesResiduals) {
  for (const int64_t channels : {12, 19})
    for (const DType src : {DType::bf16, DType::f32})
      for (const DType dst : {DType::f32, DType::bf16, DType::u8}) {
        ConvSpec spec = grouped(3, shape(3, 8, 9, channels, 21, 3, 2, 1, 2, 2));
        spec.src = src;
        spec.dst = spec.residual = dst;
        spec.dst_quant = spec.residual_quant = {0.05F, 128};
        spec.activation = {Act::relu};
        check(spec, 17);
      }
}

/// Bit for bit what a convolution without groups makes of one group's channels and filters.
TEST_P(ConvBf16Groups, AreConvolutionsOfTheirOwn) {
  constexpr int64_t kGroups = 3, kChannels = 24, kOutputs = 20;
  for (const int64_t kernel : {1, 3}) {
    const ConvShape one = shape(1, 6, 9, kChannels, kOutputs, kernel, kernel, 1, kernel / 2);
    const Case all = make_case(grouped(kGroups, one), 18);
    const Bytes got = run(all, 1);
    for (int64_t g = 0; g < kGroups; ++g) {
      Case c = make_case(bf16_spec(one), 18);
      for (int64_t i = 0; i < one.h * one.w * kChannels; ++i)
        put(DType::bf16, c.src.data(), i,
            get(DType::bf16, all.src.data(), (i / kChannels * kGroups + g) * kChannels + i % kChannels));
      const int64_t weights = kOutputs * kChannels * kernel * kernel;
      std::copy_n(all.weights.begin() + g * weights * 2, weights * 2, c.weights.begin());
      std::copy_n(all.bias.begin() + g * kOutputs * 4, kOutputs * 4, c.bias.begin());
      const Bytes want = run(c, 1);
      for (int64_t i = 0; i < c.outputs(); ++i)
        ASSERT_EQ(get(DType::f32, got.data(), (i / kOutputs * kGroups + g) * kOutputs + i % kOutputs),
                  get(DType::f32, want.data(), i))
            << text(all.spec) << " group " << g << " at " << i;
    }
  }
}

TEST_P(ConvBf16Groups, NotANumberStaysInItsGroup) {
  constexpr int64_t kGroups = 3, kOutputs = 5;
  for (const int64_t channels : {2, 17, 24, 34})
    for (const int64_t kernel : {1, 3}) {
      Case c =
          make_case(grouped(kGroups, shape(1, 5, 5, channels, kOutputs, kernel, kernel, 1, kernel / 2)), 19);
      for (int64_t pixel = 0; pixel < 25; ++pixel)
        for (int64_t i = 0; i < channels; ++i)
          put(DType::bf16, c.src.data(), (pixel * kGroups + 1) * channels + i, NAN);
      const Bytes got = run(c, 1);
      for (int64_t i = 0; i < c.outputs(); ++i)
        EXPECT_EQ(std::isnan(get(DType::f32, got.data(), i)), i / kOutputs % kGroups == 1)
            << text(c.spec) << " " << i;
    }
}

INSTANTIATE_TEST_SUITE_P(All, ConvBf16Groups, testing::Values(conv_bf16_avx512bf16()),
                         [](const auto& test) { return std::string(test.param.name); });

TEST(ConvBf16GroupsRefused, SayWhyNot) {
  ConvSpec spec = bf16_spec(shape(1, 4, 4, 8, 8, 3, 3, 1, 1));
  spec.shape.groups = 2;
  EXPECT_EQ(conv_bf16_avx512bf16().unsupported(spec), "");
  EXPECT_EQ(conv_bf16_avx512bf16().storage.refuses(spec), "groups = 2: wants 1");
  EXPECT_EQ(conv_bf16_amx().unsupported(spec), "groups = 2: wants 1");
  spec.shape.c = 6;
  EXPECT_EQ(conv_bf16_avx512bf16().unsupported(spec),
            "groups of 3 channels: wants an even number or at least 16");
}

/// What a file keeps serves both.
TEST(ConvBf16Storage, IsOneOrder) {
  const ConvStorage amx = conv_bf16_amx().storage, vectors = conv_bf16_avx512bf16().storage;
  EXPECT_TRUE(amx.sizes == vectors.sizes && amx.unpack == vectors.unpack && amx.refuses == vectors.refuses);
}

TEST(ConvBf16Dots, AreSlowerWhereBf16HasNoProducts) {
  EXPECT_EQ(conv_bf16_avx512bf16().slower_here().empty(), has_bf16_products(Isa::avx512_bf16));
  EXPECT_EQ(conv_bf16_amx().slower_here, nullptr);
}

}  // namespace
}  // namespace narrow::kernels
