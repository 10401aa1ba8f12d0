#include "kernels/layout/copy.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "kernels/lanes/test_support.h"

namespace narrow::kernels {
namespace {

std::vector<uint8_t> random_bytes(int64_t n, Random& random) {
  std::vector<uint8_t> bytes(static_cast<size_t>(n));
  for (uint8_t& b : bytes) b = static_cast<uint8_t>(random.next());
  return bytes;
}

void expect_equal_everywhere(const CopySpec& spec, int64_t src_elements, int64_t dst_elements,
                             int64_t src_first, Random& random) {
  const std::vector<uint8_t> src = random_bytes(src_elements * spec.element_bytes, random);
  const auto dst_bytes = static_cast<size_t>(dst_elements * spec.element_bytes);
  std::vector<uint8_t> want(dst_bytes, 0xee);
  const uint8_t* first = src.data() + src_first * spec.element_bytes;
  copy_nd_reference(spec, first, want.data());
  for (const Isa isa : isas_here())
    for (const int threads : {1, 3}) {
      ThreadPool pool(threads);
      std::vector<uint8_t> got(dst_bytes, 0xee);
      copy_nd(spec, first, got.data(), isa, pool);
      ASSERT_EQ(want, got) << to_string(isa) << " rank " << spec.rank << " bytes " << spec.element_bytes
                           << " threads " << threads;
    }
}

TEST(Copy, EveryPermutationOfFourAxes) {
  Random random(61);
  for (const int64_t bytes : {1, 2, 4, 8})
    for (const std::vector<int64_t>& shape :
         {std::vector<int64_t>{2, 3, 17, 35}, {1, 16, 1, 33}, {2, 40, 3, 4}}) {
      std::vector<int64_t> permutation = {0, 1, 2, 3};
      do {
        const CopySpec spec = transpose_spec(shape, permutation, bytes);
        const int64_t n = spec.count();
        expect_equal_everywhere(spec, n, n, 0, random);
      } while (std::next_permutation(permutation.begin(), permutation.end()));
    }
}

TEST(Copy, PlanesToPixelsAndBack) {
  Random random(62);
  for (const int64_t bytes : {1, 2, 4, 8})
    for (const int64_t channels : {1, 2, 3, 4, 5, 16, 70})
      for (const int64_t pixels : {1, 15, 16, 17, 99, 5000}) {
        const std::vector<int64_t> planes = {2, channels, pixels}, rows = {2, pixels, channels},
                                   permutation = {0, 2, 1};
        expect_equal_everywhere(transpose_spec(planes, permutation, bytes), 2 * channels * pixels,
                                2 * channels * pixels, 0, random);
        expect_equal_everywhere(transpose_spec(rows, permutation, bytes), 2 * channels * pixels,
                                2 * channels * pixels, 0, random);
      }
}

TEST(Copy, SlicesReversesAndExpands) {
  Random random(63);
  for (const int64_t bytes : {1, 2, 4, 8}) {
    expect_equal_everywhere({3, bytes, {3, 5, 7}, {35, 7, 1}, {200, 20, 2}}, 700, 105, 0, random);  // steps
    expect_equal_everywhere({2, bytes, {5, 9}, {9, 1}, {-9, -1}}, 45, 45, 44, random);             // reversed
    expect_equal_everywhere({3, bytes, {4, 6, 50}, {300, 50, 1}, {0, 1, 0}}, 6, 1200, 0, random);  // expanded
    expect_equal_everywhere({3, bytes, {4, 6, 50}, {300, 50, 1}, {50, 0, 1}}, 200, 1200, 0,
                            random);  // repeated rows
    expect_equal_everywhere({2, bytes, {30, 8}, {24, 1}, {8, 1}}, 240, 29 * 24 + 8, 0,
                            random);  // into a concat
    expect_equal_everywhere({2, bytes, {30, 40}, {1, 45}, {50, 1}}, 1500, 40 * 45, 0,
                            random);  // pitched transpose
    expect_equal_everywhere({2, bytes, {3, 40}, {1, 4}, {50, 1}}, 150, 40 * 4, 0,
                            random);  // into 3 of 4 channels
    expect_equal_everywhere({0, bytes, {}, {}, {}}, 1, 1, 0, random);
    expect_equal_everywhere({1, bytes, {100'000}, {1}, {1}}, 100'000, 100'000, 0, random);
  }
}

TEST(Copy, RowsBetweenPitches) {
  Random random(64);
  ThreadPool pool(2);
  const std::vector<uint8_t> src = random_bytes(7 * 30, random);
  std::vector<uint8_t> dst(7 * 50, 1);
  copy_rows(dst.data() + 5, 50, src.data(), 30, 7, 30, pool);
  for (int64_t r = 0; r < 7; ++r)
    for (int64_t j = 0; j < 50; ++j)
      ASSERT_EQ(dst[static_cast<size_t>(r * 50 + j)],
                j >= 5 && j < 35 ? src[static_cast<size_t>(r * 30 + j - 5)] : 1);
}

TEST(Pad, EveryModeEqualsTheReferenceAndCrops) {
  Random random(65);
  ThreadPool pool(3);
  for (const PadMode mode : {PadMode::constant, PadMode::reflect, PadMode::edge, PadMode::wrap})
    for (const int64_t bytes : {1, 2, 4, 8}) {
      const PadSpec spec{mode, 3, bytes, {3, 4, 5}, {1, -1, 7}, {2, 3, -2}};
      const std::vector<uint8_t> src = random_bytes(60 * bytes, random), value = random_bytes(bytes, random);
      std::vector<uint8_t> want(static_cast<size_t>(6 * 6 * 10 * bytes)), got(want.size());
      pad_reference(spec, src.data(), value.data(), want.data());
      pad(spec, src.data(), value.data(), got.data(), pool);
      EXPECT_EQ(want, got);
    }
}

TEST(Pad, KnownValues) {
  ThreadPool pool(1);
  const std::vector<int32_t> src = {1, 2, 3};
  const int32_t value = 9;
  std::vector<int32_t> dst(8);
  PadSpec spec{PadMode::constant, 1, 4, {3}, {2}, {3}};
  pad(spec, src.data(), &value, dst.data(), pool);
  EXPECT_EQ(dst, (std::vector<int32_t>{9, 9, 1, 2, 3, 9, 9, 9}));
  spec.mode = PadMode::reflect;
  pad(spec, src.data(), &value, dst.data(), pool);
  EXPECT_EQ(dst, (std::vector<int32_t>{3, 2, 1, 2, 3, 2, 1, 2}));
  spec.mode = PadMode::wrap;
  pad(spec, src.data(), &value, dst.data(), pool);
  EXPECT_EQ(dst, (std::vector<int32_t>{2, 3, 1, 2, 3, 1, 2, 3}));
}

}  // namespace
}  // namespace narrow::kernels
