#include "kernels/norm/group_norm.h"

#include <gtest/gtest.h>

#include "base/aligned.h"
#include "kernels/lanes/test_support.h"

namespace narrow::kernels {
namespace {

struct Case {
  GroupNormSpec spec;
  Stored x;
  std::vector<float> gamma, beta;

  int64_t count() const { return spec.images * spec.pixels * spec.channels; }
};

Case make_case(const GroupNormSpec& spec, Random& random, double low = -2, double high = 3) {
  Case c{spec, random_stored(spec.src, spec.images * spec.pixels * spec.channels, random, low, high), {}, {}};
  for (int64_t i = 0; i < spec.channels; ++i) {
    c.gamma.push_back(static_cast<float>(random.uniform(-2, 2)));
    c.beta.push_back(static_cast<float>(random.uniform(-1, 1)));
  }
  return c;
}

Stored run_reference(const Case& c) {
  Stored y(c.spec.dst, c.count());
  group_norm_reference(c.spec, {c.x.data(), c.gamma.data(), c.beta.data(), y.data(), nullptr});
  return y;
}

Stored run_fast(const Case& c, Isa isa, int threads) {
  ThreadPool pool(threads);
  AlignedBuffer scratch(group_norm_scratch_bytes(c.spec));
  Stored y(c.spec.dst, c.count());
  group_norm(c.spec, {c.x.data(), c.gamma.data(), c.beta.data(), y.data(), scratch.data()}, isa, pool);
  return y;
}

/// u = 2^-24, X = max|x| <= 6, R = kGroupNormRows, deviation >= 1 for these inputs (uniform over 5 units and
/// more). A block's mean is its pivot and the mean of at most R distances from it, off by (R + 2) u 2 X; the
/// mean of squares relatively by (R + 4) u; then as in norm_test.cpp.
float tolerance(const GroupNormSpec& spec, float want) {
  const float u = 0x1p-24F, rows = static_cast<float>(std::min(spec.pixels, kGroupNormRows));
  const float mean_error = (rows + 2) * u * 12;
  return 2 * (mean_error + 6 * ((rows + 4) * u + mean_error)) + 4 * u * (std::fabs(want) + 7) +
         2 * rounding_error(spec.dst, want);
}

void expect_near_reference(const Case& c) {
  const Stored want = run_reference(c);
  for (const Isa isa : isas_here()) {
    const Stored got = run_fast(c, isa, 2);
    for (int64_t i = 0; i < want.count(); ++i)
      ASSERT_NEAR(want.real(i), got.real(i), tolerance(c.spec, want.real(i)) * 1.0001F)
          << to_string(isa) << ' ' << to_string(c.spec.src.type) << ' ' << to_string(c.spec.dst.type) << ' '
          << c.spec.pixels << " pixels, " << c.spec.channels << " channels, " << c.spec.groups
          << " groups, at " << i;
  }
}

struct Extents {
  int64_t images, pixels, channels, groups;
};

/// Groups of 1 to 1300 channels: several in a chunk, one, parts of one; channels beyond one run.
const Extents kExtents[] = {{2, 64, 64, 1},   {1, 65, 64, 64},  {1, 130, 96, 32},  {2, 49, 100, 2},
                            {1, 300, 3, 3},   {1, 1000, 1, 1},  {3, 7, 40, 5},     {1, 33, 1300, 1},
                            {1, 20, 1300, 2}, {2, 257, 24, 12}, {1, 70, 130, 130}, {1, 128, 33, 3}};

TEST(GroupNorm, FollowsTheReferenceForEveryFormat) {
  Random random(51);
  for (const auto& [images, pixels, channels, groups] : kExtents)
    for (const Format& src : all_formats())
      for (const Format& dst : all_formats())
        expect_near_reference(make_case({images, pixels, channels, groups, 1e-5F, src, dst}, random));
}

/// |y| < 1.8: 4 u |y| = 4.3e-7 for the last roundings, the rest for what the statistics are off. Plain sums
/// of 50'000 numbers of one sign would be off by 1e-4 and more.
TEST(GroupNorm, LongSumsStayExact) {
  Random random(52);
  for (const auto& [channels, groups] : {std::pair<int64_t, int64_t>{4, 4}, {4, 1}, {64, 1}}) {
    Case c = make_case({1, 50000, channels, groups, 1e-5F, {}, {}}, random, 0, 4);
    c.gamma.assign(c.gamma.size(), 1), c.beta.assign(c.beta.size(), 0);
    const Stored want = run_reference(c);
    for (const Isa isa : isas_here()) {
      const Stored got = run_fast(c, isa, 2);
      for (int64_t i = 0; i < want.count(); ++i)
        ASSERT_NEAR(want.real(i), got.real(i), 1e-6F) << to_string(isa) << " at " << i;
    }
  }
}

/// A mean of more than 1000 deviations: u 1000 / 0.57 would be 1e-4, were it not taken off as it is in
/// double.
TEST(GroupNorm, LargeMeans) {
  Random random(53);
  Case c = make_case({1, 3136, 64, 1, 1e-5F, {}, {}}, random, 999, 1001);
  c.gamma.assign(c.gamma.size(), 1), c.beta.assign(c.beta.size(), 0);
  const Stored want = run_reference(c);
  for (const Isa isa : isas_here()) {
    const Stored got = run_fast(c, isa, 1);
    for (int64_t i = 0; i < want.count(); ++i)
      ASSERT_NEAR(want.real(i), got.real(i), 1e-6F) << to_string(isa);
  }
}

TEST(GroupNorm, ConstantImagesBecomeBeta) {
  for (const Isa isa : isas_here())
    for (const int64_t channels : {1, 5, 64, 100}) {
      GroupNormSpec spec;
      spec.pixels = 77, spec.channels = channels;
      const std::vector<float> x(static_cast<size_t>(77 * channels), 3.3F);
      std::vector<float> y(x.size(), 9.0F), beta(static_cast<size_t>(channels), 0.7F);
      ThreadPool pool(1);
      AlignedBuffer scratch(group_norm_scratch_bytes(spec));
      group_norm(spec, {x.data(), nullptr, beta.data(), y.data(), scratch.data()}, isa, pool);
      for (const float value : y) EXPECT_EQ(value, 0.7F) << to_string(isa);
    }
}

TEST(GroupNorm, SameBitsForEveryThreadCountAndInPlace) {
  Random random(54);
  for (const auto& [images, pixels, channels, groups] :
       {Extents{2, 3136, 64, 1}, {1, 784, 96, 32}, {3, 196, 320, 320}}) {
    const Case c = make_case({images, pixels, channels, groups, 1e-5F, {}, {}}, random);
    for (const Isa isa : isas_here()) {
      const Stored one = run_fast(c, isa, 1);
      for (const int threads : {2, 3, 5})
        EXPECT_EQ(one.bytes, run_fast(c, isa, threads).bytes) << to_string(isa);
      Stored x = c.x;
      ThreadPool pool(2);
      AlignedBuffer scratch(group_norm_scratch_bytes(c.spec));
      group_norm(c.spec, {x.data(), c.gamma.data(), c.beta.data(), x.data(), scratch.data()}, isa, pool);
      EXPECT_EQ(one.bytes, x.bytes) << to_string(isa);
    }
  }
}

}  // namespace
}  // namespace narrow::kernels
