#include "kernels/norm/lrn.h"

#include <gtest/gtest.h>

#include "kernels/lanes/test_support.h"

namespace narrow::kernels {
namespace {

/// u = 2^-24. The window is summed in order: relatively off by at most (size + 3) u, all terms being
/// positive; a power below 1 does not enlarge that. The power 3/4 by reciprocal roots r(b) of 3 u:  r(b)^2 is
/// off by 7 u, r(r(b)) by 3 + 3 / 2 u, their product with x by 2 u more. Roots and divisions are nearer.
float tolerance(const LrnSpec& spec, float want) {
  return (static_cast<float>(spec.size) + 17) * 0x1p-24F * std::fabs(want) +
         2 * rounding_error(spec.dst, want);
}

void expect_close(const LrnSpec& spec, Isa isa, int threads) {
  Random random(7);
  const int64_t count = spec.rows * spec.channels;
  const Stored x = random_stored(spec.src, count, random, -3, 3);
  Stored want(spec.dst, count), got(spec.dst, count);
  lrn_reference(spec, x.data(), want.data());
  ThreadPool pool(threads);
  lrn(spec, x.data(), got.data(), isa, pool);
  for (int64_t i = 0; i < count; ++i)
    ASSERT_NEAR(want.real(i), got.real(i), tolerance(spec, want.real(i)))
        << to_string(isa) << " size=" << spec.size << " channels=" << spec.channels << " beta=" << spec.beta
        << " at " << i;
}

TEST(Lrn, EverySizePowerAndFormatAgreesWithTheReference) {
  const Format formats[] = {{DType::f32, {}}, {DType::bf16, {}}, {DType::u8, {0.03F, 100}}};
  for (const Isa isa : isas_here())
    for (const int64_t channels : {1, 3, 64, 1000, 2500})
      for (const int64_t size : {1, 2, 5, 64})
        for (const float beta : {0.5F, 0.75F, 1.0F, 0.6F})
          for (const Format& format : formats) {
            const LrnSpec spec{.rows = 37,
                               .channels = channels,
                               .size = size,
                               .alpha = 0.5F,
                               .beta = beta,
                               .bias = 2,
                               .src = format,
                               .dst = format};
            expect_close(spec, isa, 1);
            if (size == 5) expect_close(spec, isa, 3);
          }
}

/// A base beyond what FP32 holds, one of 0, and a number that is none.
TEST(Lrn, ExtremesStayNumbersAndNaNsNaNs) {
  for (const Isa isa : isas_here()) {
    const float nan = std::numeric_limits<float>::quiet_NaN();
    const std::vector<float> x = {1e25F, 0, 0, 0, 0, 0, nan, 2};
    std::vector<float> y(x.size());
    ThreadPool pool(1);
    const LrnSpec spec{.rows = 1,
                       .channels = 8,
                       .size = 3,
                       .alpha = 1,
                       .beta = 0.75F,
                       .bias = 1,
                       .src = {DType::f32, {}},
                       .dst = {DType::f32, {}}};
    lrn(spec, x.data(), y.data(), isa, pool);
    EXPECT_GE(y[0], 0) << to_string(isa);
    EXPECT_LT(y[0], 1) << to_string(isa);
    for (const size_t i : {1U, 2U, 3U, 4U}) EXPECT_EQ(y[i], 0) << to_string(isa);
    EXPECT_TRUE(std::isnan(y[6])) << to_string(isa);
    EXPECT_TRUE(std::isnan(y[7])) << to_string(isa);  // its window holds the NaN
  }
}

}  // namespace
}  // namespace narrow::kernels
