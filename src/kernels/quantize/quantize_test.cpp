#include "kernels/quantize/quantize.h"

#include <gtest/gtest.h>

#include <cfloat>

#include "kernels/lanes/test_support.h"

namespace narrow::kernels {
namespace {

struct Layout {
  int64_t outer, channels, inner;
};
const std::vector<Layout> kLayouts = {{1, 1, 0},  {1, 1, 1},    {1, 1, 100'003}, {3, 5, 7},
                                      {2, 33, 1}, {700, 70, 1}, {1, 3, 1000},    {2, 2000, 1}};

struct Parameters {
  std::vector<float> scale;
  std::vector<int32_t> zero_point;
  Parameters(int64_t channels, DType type, Random& random) {
    for (int64_t c = 0; c < channels; ++c) {
      scale.push_back(static_cast<float>(random.uniform(0.003, 0.05)));
      zero_point.push_back(
          static_cast<int32_t>(type == DType::u8 ? random.integer(0, 255) : random.integer(-128, 127)));
    }
  }
};

TEST(Quantize, EqualsTheScalarDefinitionOnEveryIsaAndThreadCount) {
  Random random(21);
  for (const DType src : {DType::f32, DType::bf16, DType::f16})
    for (const DType dst : {DType::u8, DType::s8})
      for (const Layout& layout : kLayouts)
        for (const bool with_zero_point : {true, false}) {
          const Parameters p(layout.channels, dst, random);
          QuantizeSpec spec{src,
                            dst,
                            layout.outer,
                            layout.channels,
                            layout.inner,
                            p.scale.data(),
                            with_zero_point ? p.zero_point.data() : nullptr};
          Stored x = random_stored({src, {}}, spec.count(), random, -6, 6);
          if (spec.count() > 20) {
            store_real(x.format, x.data(), 3, NAN);
            store_real(x.format, x.data(), 5, INFINITY);
            store_real(x.format, x.data(), 19, -INFINITY);
          }
          Stored want({dst, {}}, spec.count());
          quantize_linear_reference(spec, x.data(), want.data());
          for (const Isa isa : isas_here()) {
            ThreadPool pool(static_cast<int>(random.integer(1, 3)));
            Stored got({dst, {}}, spec.count());
            quantize_linear(spec, x.data(), got.data(), isa, pool);
            ASSERT_EQ(want.bytes, got.bytes)
                << to_string(isa) << ' ' << to_string(src) << ' ' << to_string(dst) << ' ' << layout.channels;
          }
        }
}

TEST(Quantize, RoundsTiesToEvenAfterTrueDivision) {
  const float scale = 0.1F;
  const int32_t zero_point = 10;
  std::vector<float> x;
  for (int i = -300; i < 300; ++i) x.push_back(static_cast<float>(i) * 0.5F * scale);
  const QuantizeSpec spec{DType::f32, DType::u8, 1, 1, static_cast<int64_t>(x.size()), &scale, &zero_point};
  ThreadPool pool(1);
  std::vector<uint8_t> got(x.size());
  for (const Isa isa : isas_here()) {
    quantize_linear(spec, x.data(), got.data(), isa, pool);
    for (size_t i = 0; i < x.size(); ++i) {
      const float q = std::nearbyint(x[i] / scale) + 10;
      ASSERT_EQ(std::min(255.0F, std::max(0.0F, q)), static_cast<float>(got[i]));
    }
  }
}

/// Kernels may divide in other ways; nothing is as near to a tie as these, for scales with awkward mantissas
/// and sizes.
TEST(Quantize, EqualsTrueDivisionNextToEveryTie) {
  Random random(23);
  std::vector<float> scales = {0x1p-60F,       0x1p60F,    0x1.fffffep-61F, 0x1p-59F, 0x1.fffffep-3F,
                               0x1.000002p-5F, 1.0F / 255, 0x1p-140F,       0x1p100F, 3e-39F};
  for (int i = 0; i < 60; ++i) scales.push_back(static_cast<float>(std::exp(random.uniform(-30, 30))));
  ThreadPool pool(1);
  for (const float scale : scales) {
    std::vector<float> x = {0, -0.0F, INFINITY, -INFINITY, NAN, FLT_MAX, -FLT_MAX, FLT_MIN, FLT_TRUE_MIN};
    for (int tie = -260; tie < 260; ++tie) {
      const float at = static_cast<float>((tie + 0.5) * static_cast<double>(scale));
      float low = at, high = at;
      x.push_back(at);
      for (int ulp = 0; ulp < 3; ++ulp) {
        x.push_back(low = std::nextafter(low, -INFINITY));
        x.push_back(high = std::nextafter(high, INFINITY));
      }
    }
    const int32_t zero_point = 7;
    const QuantizeSpec spec{DType::f32, DType::s8, 1, 1, static_cast<int64_t>(x.size()), &scale, &zero_point};
    std::vector<int8_t> want(x.size()), got(x.size());
    quantize_linear_reference(spec, x.data(), want.data());
    for (const Isa isa : isas_here()) {
      quantize_linear(spec, x.data(), got.data(), isa, pool);
      for (size_t i = 0; i < x.size(); ++i)
        ASSERT_EQ(got[i], want[i]) << to_string(isa) << " x " << x[i] << " scale " << scale;
    }
  }
}

TEST(Dequantize, EqualsTheScalarDefinitionOnEveryIsaAndThreadCount) {
  Random random(22);
  for (const DType src : {DType::u8, DType::s8, DType::s32})
    for (const DType dst : {DType::f32, DType::bf16, DType::f16})
      for (const Layout& layout : kLayouts) {
        const Parameters p(layout.channels, src, random);
        QuantizeSpec spec{
            src, dst, layout.outer, layout.channels, layout.inner, p.scale.data(), p.zero_point.data()};
        std::vector<uint8_t> q(static_cast<size_t>(spec.count() * bytes_of(src)));
        for (uint8_t& byte : q) byte = static_cast<uint8_t>(random.next());
        Stored want({dst, {}}, spec.count());
        dequantize_linear_reference(spec, q.data(), want.data());
        for (const Isa isa : isas_here()) {
          ThreadPool pool(static_cast<int>(random.integer(1, 3)));
          Stored got({dst, {}}, spec.count());
          dequantize_linear(spec, q.data(), got.data(), isa, pool);
          ASSERT_EQ(want.bytes, got.bytes)
              << to_string(isa) << ' ' << to_string(src) << ' ' << to_string(dst);
        }
      }
}

TEST(DynamicQuant, CoversTheRangeWithZero) {
  ThreadPool pool(2);
  for (const Isa isa : isas_here()) {
    std::vector<float> x(100'001, 0.0F);
    EXPECT_EQ(dynamic_quant(x.data(), 100'001, isa, pool).scale, 1.0F);
    x[77] = -1.0F;
    x[99'999] = 4.1F;
    const DynamicQuant q = dynamic_quant(x.data(), 100'001, isa, pool);
    EXPECT_EQ(q.scale, (4.1F + 1.0F) / 255.0F);
    EXPECT_EQ(q.zero_point, 50);
    x.assign(5, 2.0F);
    EXPECT_EQ(dynamic_quant(x.data(), 5, isa, pool).zero_point, 0);
  }
}

TEST(Convert, NarrowsAndWidensEveryPairAsTheReference) {
  Random random(23);
  const std::vector<DType> types = {DType::f32, DType::bf16, DType::f16,    DType::f64, DType::s8,
                                    DType::u8,  DType::s16,  DType::u16,    DType::s32, DType::u32,
                                    DType::s64, DType::u64,  DType::boolean};
  ThreadPool pool(3);
  std::vector<float> reals(3001);
  for (float& x : reals) x = static_cast<float>(random.uniform(-200, 200));
  reals[1] = NAN, reals[2] = INFINITY, reals[3] = -INFINITY, reals[4] = 1e20F, reals[5] = 70000.0F;
  const auto n = static_cast<int64_t>(reals.size());
  for (const DType from : types)
    for (const DType to : types) {
      std::vector<uint8_t> x(static_cast<size_t>(n * bytes_of(from))),
          want(static_cast<size_t>(n * bytes_of(to)));
      convert_reference(DType::f32, from, reals.data(), x.data(), n);
      convert_reference(from, to, x.data(), want.data(), n);
      for (const Isa isa : isas_here()) {
        std::vector<uint8_t> got(want.size());
        convert(from, to, x.data(), got.data(), n, isa, pool);
        ASSERT_EQ(want, got) << to_string(from) << " to " << to_string(to) << ' ' << to_string(isa);
      }
    }
}

TEST(Convert, KnownValues) {
  const std::vector<float> x = {-1.9F, 300.0F, NAN, -0.0F, 0.25F};
  ThreadPool pool(1);
  std::vector<uint8_t> bytes(5);
  convert(DType::f32, DType::u8, x.data(), bytes.data(), 5, usable_isa(), pool);
  EXPECT_EQ(bytes, (std::vector<uint8_t>{0, 255, 0, 0, 0}));
  convert(DType::f32, DType::boolean, x.data(), bytes.data(), 5, usable_isa(), pool);
  EXPECT_EQ(bytes, (std::vector<uint8_t>{1, 1, 1, 0, 1}));
  const std::vector<int64_t> wide = {257, -1};
  convert(DType::s64, DType::u8, wide.data(), bytes.data(), 2, usable_isa(), pool);
  EXPECT_EQ(bytes[0], 1);
  EXPECT_EQ(bytes[1], 255);
}

}  // namespace
}  // namespace narrow::kernels
