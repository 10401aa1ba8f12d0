#include "kernels/reduce/reduce.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "base/random.h"
#include "kernels/test_isas.h"

namespace narrow::kernels {
namespace {

std::vector<float> random_floats(int64_t count, Random& random) {
  std::vector<float> x(static_cast<size_t>(count));
  for (float& v : x) v = static_cast<float>(random.uniform(-2, 3));
  return x;
}

std::vector<float> run(const ReduceSpec& spec, const std::vector<float>& x, Isa isa, ThreadPool& pool) {
  std::vector<double> scratch(static_cast<size_t>(reduce_scratch_bytes(spec)) / sizeof(double) + 1);
  std::vector<float> y(static_cast<size_t>(spec.outer * spec.inner) + 1, 77.0F);
  reduce(spec, x.data(), y.data(), scratch.data(), isa, pool);
  EXPECT_EQ(y.back(), 77.0F);
  y.pop_back();
  return y;
}

std::vector<float> run(const ReduceSpec& spec, const std::vector<float>& x, Isa isa, int threads) {
  ThreadPool pool(threads);
  return run(spec, x, isa, pool);
}

std::vector<float> reference(const ReduceSpec& spec, const std::vector<float>& x) {
  std::vector<float> y(static_cast<size_t>(spec.outer * spec.inner));
  reduce_reference(spec, x.data(), y.data());
  return y;
}

/// Sums in double of n numbers up to 3 (squares: 9) differ by n^2 2^-53 * 9 at most, and where that decides
/// the rounding by half a unit in the last place each.
float tolerance(const ReduceSpec& spec, float want) {
  const auto n = static_cast<float>(spec.reduced);
  return 0x1p-53F * 9 * n * n + 0x1p-23F * std::fabs(want);
}

const std::vector<ReduceSpec>& shapes() {
  static const std::vector<ReduceSpec> list = [] {
    std::vector<ReduceSpec> specs;
    for (const int64_t reduced : {1, 2, 7, 8, 15, 16, 17, 49, 64, 129})
      for (const int64_t inner : {1, 2, 7, 8, 15, 16, 17, 31, 33, 63, 64, 65, 257})
        specs.push_back({Reduction::sum, 3, reduced, inner});
    for (const ReduceSpec& large : {ReduceSpec{Reduction::sum, 1, 100003, 1},
                                    {Reduction::sum, 2, 3001, 33},
                                    {Reduction::sum, 100, 1025, 1},
                                    {Reduction::sum, 1, 50176, 3}})
      specs.push_back(large);
    return specs;
  }();
  return list;
}

TEST(Reduce, FollowsTheReference) {
  Random random(5);
  ThreadPool pool(2);
  for (ReduceSpec spec : shapes()) {
    const std::vector<float> x = random_floats(spec.outer * spec.reduced * spec.inner, random);
    for (const Reduction kind : kAllReductions) {
      spec.kind = kind;
      const std::vector<float> want = reference(spec, x);
      for (const Isa isa : usable_isas()) {
        const std::vector<float> got = run(spec, x, isa, pool);
        for (size_t i = 0; i < want.size(); ++i)
          ASSERT_NEAR(want[i], got[i], tolerance(spec, want[i]))
              << to_string(isa) << ' ' << to_string(kind) << " [" << spec.outer << ',' << spec.reduced << ','
              << spec.inner << ']';
      }
    }
  }
}

TEST(Reduce, SameBitsForEveryThreadCount) {
  Random random(6);
  for (ReduceSpec spec : {ReduceSpec{Reduction::mean, 1, 100003, 1},
                          {Reduction::l2, 1, 5000, 48},
                          {Reduction::sum, 37, 512, 1},
                          {Reduction::mean, 2, 640, 300}}) {
    const std::vector<float> x = random_floats(spec.outer * spec.reduced * spec.inner, random);
    for (const Isa isa : usable_isas()) {
      const std::vector<float> one = run(spec, x, isa, 1);
      for (const int threads : {2, 3}) EXPECT_EQ(one, run(spec, x, isa, threads)) << to_string(isa);
    }
  }
}

TEST(Reduce, NaNWinsWhereverItIs) {
  for (const int64_t inner : {1, 5, 16})
    for (const int64_t at : {0, 3, 40, 66}) {
      const ReduceSpec shape{Reduction::sum, 1, 67, inner};
      std::vector<float> x(static_cast<size_t>(67 * inner), 1.0F);
      x[static_cast<size_t>(at * inner)] = std::numeric_limits<float>::quiet_NaN();
      for (const Reduction kind : kAllReductions)
        for (const Isa isa : usable_isas()) {
          ReduceSpec spec = shape;
          spec.kind = kind;
          const std::vector<float> y = run(spec, x, isa, 1);
          EXPECT_TRUE(std::isnan(y[0])) << to_string(isa) << ' ' << to_string(kind) << ' ' << at;
          for (size_t i = 1; i < y.size(); ++i) EXPECT_FALSE(std::isnan(y[i]));
        }
    }
}

TEST(Reduce, LargeSumsAndSquares) {
  // 2^24 + 1 is no float: plain FP32 sums stop there. The square of 1e30 is none either.
  const std::vector<float> ones(20000000, 1.0F);
  for (const Isa isa : usable_isas()) {
    EXPECT_EQ(run({Reduction::sum, 1, 20000000, 1}, ones, isa, 2)[0], 2e7F);
    EXPECT_EQ(run({Reduction::l2, 1, 4, 1}, {1e30F, 0, 0, 0}, isa, 1)[0], 1e30F);
  }
}

TEST(Reduce, OfNothing) {
  for (const Isa isa : usable_isas()) {
    EXPECT_EQ(run({Reduction::sum, 1, 0, 3}, {}, isa, 1), std::vector<float>(3, 0.0F));
    EXPECT_EQ(run({Reduction::max, 2, 0, 1}, {}, isa, 1), std::vector<float>(2, -HUGE_VALF));
    EXPECT_TRUE(run({Reduction::sum, 0, 5, 1}, {}, isa, 1).empty());
    EXPECT_TRUE(run({Reduction::sum, 5, 5, 0}, {}, isa, 1).empty());
  }
}

}  // namespace
}  // namespace narrow::kernels
