#include "kernels/norm/lrn.h"

#include <gtest/gtest.h>

#include "kernels/lanes/test_support.h"

namespace narrow::kernels {
namespace {

/// u = 2^-24. The window is summed in order: relatively off by at most (size + 3) u, all terms being
/// positive; a power below 1 does not enlarge that; two roots, a product and a division add 4 u (pow: 2 u).
float tolerance(const LrnSpec& spec, float want) {
  return (static_cast<float>(spec.size) + 8) * 0x1p-24F * std::fabs(want) +
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
            const LrnSpec spec{.rows = 3,
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

}  // namespace
}  // namespace narrow::kernels
