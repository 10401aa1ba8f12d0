#include "kernels/quantize/rows.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "base/random.h"
#include "kernels/test_isas.h"
#include "numerics/quantization.h"

namespace narrow::kernels {
namespace {

struct Result {
  std::vector<uint8_t> codes;
  std::vector<float> scale;
};

Result run(const RowsSpec& spec, const std::vector<float>& x, Isa isa, int threads) {
  Result r{std::vector<uint8_t>(x.size()), std::vector<float>(static_cast<size_t>(spec.rows))};
  ThreadPool pool(threads);
  quantize_rows(spec, x.data(), r.codes.data(), r.scale.data(), isa, pool);
  return r;
}

/// The formula of rows.h, one element after the other.
TEST(QuantizeRows, IsTheFormulaOnEveryIsaAndThreadCount) {
  Random random(3);
  for (const auto& [rows, columns] : {std::pair<int64_t, int64_t>{1, 1},
                                      {3, 7},
                                      {17, 64},
                                      {5, 1000},
                                      {1, 100003},
                                      {3, 40000},
                                      {0, 8},
                                      {4, 0}}) {
    const RowsSpec spec{.rows = rows, .columns = columns};
    std::vector<float> x(static_cast<size_t>(rows * columns));
    for (size_t i = 0; i < x.size(); ++i)
      x[i] = static_cast<float>(random.normal() * std::pow(10.0, static_cast<double>(i / 64 % 9) - 4));
    for (const Isa isa : usable_isas())
      for (const int threads : {1, 2, 3}) {
        const Result got = run(spec, x, isa, threads);
        for (int64_t r = 0; r < rows; ++r) {
          float largest = 0;
          for (int64_t c = 0; c < columns; ++c)
            largest = std::max(largest, std::fabs(x[static_cast<size_t>(r * columns + c)]));
          const float scale = std::max(largest * spec.step, spec.tiny);
          ASSERT_EQ(got.scale[static_cast<size_t>(r)], scale);
          for (int64_t c = 0; c < columns; ++c) {
            const auto i = static_cast<size_t>(r * columns + c);
            ASSERT_EQ(got.codes[i], quantize(x[i], scale, 128, kRangeU8)) << r << ' ' << c;
          }
        }
      }
  }
}

TEST(QuantizeRows, ZerosAndWhatIsNotFinite) {
  constexpr float kInf = std::numeric_limits<float>::infinity(),
                  kNan = std::numeric_limits<float>::quiet_NaN();
  for (const int64_t columns : {int64_t{4}, int64_t{70000}})
    for (const Isa isa : usable_isas()) {
      std::vector<float> x(static_cast<size_t>(3 * columns), 0.0F);
      x[static_cast<size_t>(columns)] = -kInf;
      x[static_cast<size_t>(3 * columns) - 1] = kNan;
      const Result got = run({.rows = 3, .columns = columns}, x, isa, 2);
      EXPECT_EQ(got.scale[0], 1e-30F);
      EXPECT_EQ(got.codes[0], 128);
      EXPECT_TRUE(std::isnan(got.scale[1]));
      EXPECT_TRUE(std::isnan(got.scale[2]));
    }
}

TEST(QuantizeRows, TheLargestIs127StepsFromZero) {
  const std::vector<float> x = {0.3F, -5, 2.5F, 5, 1e-9F, -1e-9F};
  const Result got = run({.rows = 3, .columns = 2}, x, usable_isa(), 1);
  EXPECT_EQ(got.codes[1], 1);
  EXPECT_EQ(got.codes[3], 255);
  EXPECT_EQ(got.codes[4], 255);
  EXPECT_EQ(got.codes[5], 1);
}

}  // namespace
}  // namespace narrow::kernels
