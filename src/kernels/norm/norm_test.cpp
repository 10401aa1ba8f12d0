#include "kernels/norm/norm.h"

#include <gtest/gtest.h>

#include "base/aligned.h"
#include "kernels/lanes/test_support.h"

namespace narrow::kernels {
namespace {

struct Case {
  NormSpec spec;
  Stored x, residual;
  std::vector<float> gamma, beta;
};

struct Output {
  Stored y, sum;
};

Case make_case(const NormSpec& spec, Random& random) {
  const int64_t count = spec.rows * spec.columns;
  Case c{spec, random_stored(spec.src, count, random, -2, 3), Stored({DType::f32, {}}, 0), {}, {}};
  if (spec.residual != DType::undefined) c.residual = random_stored({spec.residual, {}}, count, random);
  for (int64_t i = 0; i < spec.columns; ++i) {
    c.gamma.push_back(static_cast<float>(random.uniform(-2, 2)));
    c.beta.push_back(static_cast<float>(random.uniform(-1, 1)));
  }
  return c;
}

template <class F>
Output run(const Case& c, F&& f) {
  const int64_t count = c.spec.rows * c.spec.columns;
  Output out{Stored(c.spec.dst, count),
             Stored({c.spec.sum == DType::undefined ? DType::f32 : c.spec.sum, {}}, count)};
  NormBuffers b{c.x.data(),   c.residual.data(), c.gamma.data(), c.beta.data(),
                out.y.data(), out.sum.data(),    nullptr};
  f(b);
  return out;
}

Output run_fast(const Case& c, Isa isa, int threads) {
  ThreadPool pool(threads);
  AlignedBuffer scratch(norm_scratch_bytes(c.spec, threads));
  return run(c, [&](NormBuffers b) {
    b.scratch = scratch.data();
    norm(c.spec, b, isa, pool);
  });
}

/// u = 2^-24, X = max|x| <= 6, deviation >= 1 for these inputs (uniform over 5 units and more; rms too):
/// the mean is off by at most n u X, a distance by that and u X, the deviation relatively by (n + 4) u / 2
/// and what the mean adds, gamma <= 2, |y| <= 6.
float tolerance(const NormSpec& spec, float want) {
  const float u = 0x1p-24F, n = static_cast<float>(spec.columns);
  const float mean_error = (n + 1) * u * 6;
  return 2 * (mean_error + 6 * ((n + 4) * u + mean_error)) + 4 * u * std::fabs(want) +
         2 * rounding_error(spec.dst, want);
}

TEST(Norm, FollowsTheReferenceForEveryFormat) {
  Random random(41);
  for (const int64_t columns : {33, 64, 257, 1100})
    for (const bool rms : {false, true})
      for (const Format& src : all_formats())
        for (const Format& dst : all_formats())
          for (const DType residual : {DType::undefined, DType::f32, DType::bf16}) {
            NormSpec spec{rms, 5, columns, 1e-5F, src, dst, residual, residual};
            const Case c = make_case(spec, random);
            const Output want = run(c, [&](const NormBuffers& b) { norm_reference(spec, b); });
            for (const Isa isa : isas_here()) {
              const Output got = run_fast(c, isa, 2);
              for (int64_t i = 0; i < got.y.count(); ++i)
                ASSERT_NEAR(want.y.real(i), got.y.real(i), tolerance(spec, want.y.real(i)) * 1.0001F)
                    << to_string(isa) << ' ' << to_string(src.type) << ' ' << to_string(dst.type)
                    << " columns " << columns;
              if (residual != DType::undefined) {
                ASSERT_EQ(want.sum.bytes, got.sum.bytes);
              }
            }
          }
}

TEST(Norm, ShortRowsAndConstantRows) {
  for (const Isa isa : isas_here())
    for (const int64_t columns : {1, 2, 15, 16, 17}) {
      NormSpec spec;
      spec.rows = 1, spec.columns = columns;
      const std::vector<float> x(static_cast<size_t>(columns), 3.0F);
      std::vector<float> y(x.size(), 9.0F);
      ThreadPool pool(1);
      AlignedBuffer scratch(norm_scratch_bytes(spec, 1));
      norm(spec, {x.data(), nullptr, nullptr, nullptr, y.data(), nullptr, scratch.data()}, isa, pool);
      for (const float value : y) EXPECT_EQ(value, 0.0F) << to_string(isa);
    }
}

TEST(Norm, SameBitsForEveryThreadCount) {
  Random random(43);
  const Case c = make_case(
      {false, 37, 768, 1e-12F, {DType::bf16, {}}, {DType::u8, {0.03F, 128}}, DType::bf16, DType::bf16},
      random);
  for (const Isa isa : isas_here()) {
    const Output one = run_fast(c, isa, 1);
    for (const int threads : {2, 3})
      EXPECT_EQ(one.y.bytes, run_fast(c, isa, threads).y.bytes) << to_string(isa);
  }
}

}  // namespace
}  // namespace narrow::kernels
