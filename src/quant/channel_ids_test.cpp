// Factor numbers move as the elements they stand for: every rule is held to the same movement of a full
// array, by plain index loops.
#include "quant/channel_ids.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

namespace narrow::quant {
namespace {

using testing::ElementsAre;

/// The factor of every element of a value of this shape.
std::vector<int> full(const ChannelIds& x, const Shape& shape) {
  const auto all = expanded(x, shape);
  EXPECT_TRUE(all.has_value());
  return all ? all->ids : std::vector<int>();
}

std::vector<ir::Dim> dims_of(const Shape& shape) { return {shape.begin(), shape.end()}; }

ChannelIds channels(int64_t rank, int64_t axis, int64_t count) {
  std::vector<int> ids(static_cast<size_t>(count));
  std::iota(ids.begin(), ids.end(), 1);
  return ChannelIds::along(rank, axis, ids);
}

TEST(ChannelIds, ExpandingRepeats) {
  EXPECT_THAT(full(channels(3, 1, 2), {2, 2, 3}), ElementsAre(1, 1, 1, 2, 2, 2, 1, 1, 1, 2, 2, 2));
  EXPECT_THAT(full(ChannelIds::uniform(2, 7), {1, 3}), ElementsAre(7, 7, 7));
  EXPECT_FALSE(expanded(channels(2, 0, 2), {2, kMostIds}));
}

TEST(ChannelIds, TransposingPermutesElements) {
  const Shape shape = {2, 3, 4};
  const ChannelIds x = channels(3, 1, 3);
  const std::vector<int> before = full(x, shape);
  std::vector<int64_t> perm = {0, 1, 2};
  do {
    Shape moved;
    for (const int64_t axis : perm) moved.push_back(shape[static_cast<size_t>(axis)]);
    const std::vector<int> after = full(transposed(x, perm), moved);
    for (int64_t i = 0, at = 0; i < moved[0]; ++i)
      for (int64_t j = 0; j < moved[1]; ++j)
        for (int64_t k = 0; k < moved[2]; ++k, ++at) {
          std::array<int64_t, 3> index{};
          index[static_cast<size_t>(perm[0])] = i;
          index[static_cast<size_t>(perm[1])] = j;
          index[static_cast<size_t>(perm[2])] = k;
          EXPECT_EQ(after[static_cast<size_t>(at)],
                    before[static_cast<size_t>((index[0] * shape[1] + index[1]) * shape[2] + index[2])]);
        }
  } while (std::next_permutation(perm.begin(), perm.end()));
}

TEST(ChannelIds, ReshapingKeepsTheOrderOfElements) {
  const Shape from = {2, 6, 1, 4};
  for (const int64_t axis : {0, 1, 3}) {
    const ChannelIds x = channels(4, axis, from[static_cast<size_t>(axis)]);
    for (const Shape& to : std::vector<Shape>{{2, 6, 4},
                                              {2, 24},
                                              {12, 4},
                                              {48},
                                              {2, 2, 3, 4},
                                              {1, 2, 3, 8},
                                              {4, 3, 4},
                                              {2, 1, 6, 1, 4},
                                              {8, 6}}) {
      const auto y = reshaped(x, dims_of(from), dims_of(to));
      ASSERT_TRUE(y.has_value());
      EXPECT_EQ(full(*y, to), full(x, from)) << to_string(to) << " axis " << axis;
    }
  }
}

TEST(ChannelIds, ReshapingLooksPastUnknownExtents) {
  const ir::Dim batch(std::string("N")), length(std::string("T")), unknown;
  const ChannelIds x = channels(3, 2, 8);
  const auto heads = reshaped(x, {batch, length, 8}, {batch, length, 2, 4});
  ASSERT_TRUE(heads);
  EXPECT_EQ(heads->dims, (Shape{1, 1, 2, 4}));
  EXPECT_THAT(heads->ids, ElementsAre(1, 2, 3, 4, 5, 6, 7, 8));
  EXPECT_TRUE(reshaped(x, {batch, length, 8}, {unknown, unknown, 2, 4}));
  EXPECT_TRUE(reshaped(x, {batch, length, 8}, {unknown, 8}));
  // Here the channels lie in front of what is not known.
  const ChannelIds front = channels(3, 0, 8);
  EXPECT_FALSE(reshaped(front, {8, batch, length}, {unknown, length}));
  EXPECT_FALSE(reshaped(front, {8, batch, length}, {8, unknown}));
}

TEST(ChannelIds, SelectingAndConcatenatingAreInverse) {
  const Shape shape = {2, 5, 3};
  for (const int64_t axis : {0, 1, 2}) {
    const int64_t extent = shape[static_cast<size_t>(axis)];
    const ChannelIds x = channels(3, axis, extent);
    std::vector<ChannelIds> parts;
    for (int64_t i = 0; i < extent; ++i) parts.push_back(selected(x, axis, {i}));
    const auto joined = concatenated(parts, axis, std::vector<int64_t>(parts.size(), 1));
    ASSERT_TRUE(joined);
    EXPECT_EQ(full(*joined, shape), full(x, shape));
  }
  EXPECT_THAT(selected(channels(2, 1, 4), 1, {3, 0, 0}).ids, ElementsAre(4, 1, 1));
}

TEST(ChannelIds, ConcatenatingPartsThatVaryAlongDifferentAxes) {
  const auto y = concatenated({channels(2, 1, 2), ChannelIds::uniform(2, 9)}, 0, {1, 2});
  ASSERT_TRUE(y);
  EXPECT_THAT(full(*y, {3, 2}), ElementsAre(1, 2, 9, 9, 9, 9));
  EXPECT_FALSE(concatenated({channels(2, 1, 2), ChannelIds::uniform(2, 9)}, 0, {1, -1}));
  // The same factors everywhere: no extent is asked for.
  EXPECT_TRUE(concatenated({ChannelIds::uniform(2, 9), ChannelIds::uniform(2, 9)}, 0, {1, -1}));
}

}  // namespace
}  // namespace narrow::quant
