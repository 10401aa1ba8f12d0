#include "kernels/softmax/softmax.h"

#include <gtest/gtest.h>

#include "base/aligned.h"
#include "kernels/lanes/test_support.h"

namespace narrow::kernels {
namespace {

Stored run(const SoftmaxSpec& spec, const Stored& x, Isa isa, int threads) {
  ThreadPool pool(threads);
  AlignedBuffer scratch(softmax_scratch_bytes(spec, threads));
  Stored y(spec.dst, x.count());
  softmax(spec, x.data(), y.data(), scratch.data(), isa, pool);
  return y;
}

/// u = 2^-24; x - max is off by u * range, which e takes relatively, exp adds 4 u, the sum n u, the quotient
/// 2 u.
float tolerance(const SoftmaxSpec& spec, float want) {
  const float u = 0x1p-24F, range = 6, n = static_cast<float>(spec.columns);
  const float relative = (2 * range + n + 8) * u;
  const float absolute = spec.log ? relative + 2 * u * (range + std::fabs(want)) : relative * want;
  return absolute + 2 * rounding_error(spec.dst, want);
}

TEST(Softmax, FollowsTheReferenceForEveryFormat) {
  Random random(51);
  for (const int64_t columns : {1, 2, 7, 8, 9, 16, 33, 257, 1100})
    for (const bool log : {false, true})
      for (const Format& src : all_formats())
        for (Format dst : all_formats()) {
          if (is_int8(dst.type)) dst.quant = {log ? 0.05F : 1 / 256.0F, log ? 120 : 0};
          const int64_t rows = columns > 8 ? 4 : 37;
          const SoftmaxSpec spec{log, rows, columns, src, dst};
          const Stored x = random_stored(src, rows * columns, random);
          Stored want(dst, x.count());
          softmax_reference(spec, x.data(), want.data());
          for (const Isa isa : isas_here()) {
            const Stored got = run(spec, x, isa, 2);
            for (int64_t i = 0; i < x.count(); ++i)
              ASSERT_NEAR(want.real(i), got.real(i), tolerance(spec, want.real(i)) * 1.0001F)
                  << to_string(isa) << ' ' << to_string(src.type) << ' ' << to_string(dst.type) << " columns "
                  << columns;
          }
        }
}

TEST(Softmax, ExtremesDoNotOverflow) {
  const std::vector<float> x = {1e30F, -1e30F, -INFINITY, 1e30F};
  for (const Isa isa : isas_here()) {
    Stored in({DType::f32, {}}, 4);
    std::memcpy(in.data(), x.data(), 16);
    const Stored y = run({false, 1, 4, {}, {}}, in, isa, 1);
    EXPECT_EQ(y.real(0), 0.5F);
    EXPECT_EQ(y.real(1), 0.0F);
    EXPECT_EQ(y.real(2), 0.0F);
    for (int64_t i = 0; i < 4; ++i) store_real(in.format, in.data(), i, -INFINITY);
    EXPECT_TRUE(std::isnan(run({false, 1, 4, {}, {}}, in, isa, 1).real(0)));
  }
}

TEST(Softmax, SameBitsForEveryThreadCount) {
  Random random(52);
  const SoftmaxSpec spec{false, 29, 385, {DType::bf16, {}}, {DType::bf16, {}}};
  const Stored x = random_stored(spec.src, 29 * 385, random);
  for (const Isa isa : isas_here())
    for (const int threads : {2, 3}) EXPECT_EQ(run(spec, x, isa, 1).bytes, run(spec, x, isa, threads).bytes);
}

}  // namespace
}  // namespace narrow::kernels
