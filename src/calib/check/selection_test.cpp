#include "calib/check/selection.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "data/test_samples.h"

namespace narrow::calib {
namespace {

/// n samples of one number each: their own index.
class Numbered final : public data::Dataset {
 public:
  explicit Numbered(int64_t n, int64_t largest_batch = 0, bool sequence = false) : n_(n) {
    info_.largest_batch = largest_batch;
    if (sequence) carry({{"h", "h_out"}});
  }
  int64_t size() const override { return n_; }
  Result<data::Batch> read(int64_t first, int64_t count, ThreadPool&) const override {
    std::vector<float> values(static_cast<size_t>(count));
    std::iota(values.begin(), values.end(), static_cast<float>(first));
    return data::Batch{.count = count,
                       .inputs = {{"x", Tensor::of<float>({count, 1}, values)}},
                       .labels = {},
                       .targets = {}};
  }

 private:
  int64_t n_;
};

std::vector<int64_t> sorted(std::vector<int64_t> list) {
  std::sort(list.begin(), list.end());
  return list;
}

TEST(Select, TakesAllShuffled) {
  const Selection s = select(Numbered(100), 1000, 1);
  EXPECT_EQ(s.unit, 1);
  EXPECT_FALSE(s.sequence);
  std::vector<int64_t> all(100);
  std::iota(all.begin(), all.end(), 0);
  EXPECT_NE(s.units, all);
  EXPECT_EQ(sorted(s.units), all);
  EXPECT_EQ(s.units, select(Numbered(100), 1000, 1).units);
  EXPECT_NE(s.units, select(Numbered(100), 1000, 2).units);
}

TEST(Select, SpreadsFewEvenly) {
  EXPECT_EQ(sorted(select(Numbered(100), 4, 1).units), (std::vector<int64_t>{0, 25, 50, 75}));
  EXPECT_EQ(sorted(select(Numbered(10), 3, 1).units), (std::vector<int64_t>{0, 3, 6}));
}

TEST(Select, KeepsTheOrderOfASequence) {
  const Selection s = select(Numbered(10, 1, true), 4, 1);
  EXPECT_TRUE(s.sequence);
  EXPECT_EQ(s.units, (std::vector<int64_t>{0, 1, 2, 3}));
}

TEST(Select, FixedBatchesAreUnits) {
  const Numbered dataset(24, 8);
  const Selection s = select(dataset, 100, 1);
  EXPECT_EQ(s.unit, 8);
  EXPECT_EQ(sorted(s.units), (std::vector<int64_t>{0, 1, 2}));
  const auto at = std::find(s.units.begin(), s.units.end(), 1) - s.units.begin();
  EXPECT_EQ(unit_name(dataset, s, at), "sample 8 and 7 more");
  // Fewer samples than a batch.
  EXPECT_EQ(select(Numbered(3, 8), 100, 1).units, (std::vector<int64_t>{0}));
}

TEST(SelectedSamples, ReadsUnitsInOrder) {
  const Numbered dataset(24, 8);
  const Selection selection = first_of(select(dataset, 100, 1), 2);
  const SelectedSamples samples(dataset, selection);
  ThreadPool pool(1);
  ASSERT_EQ(samples.size(), 16);
  EXPECT_EQ(samples.batch_of(1), 8);
  for (int64_t at = 0; at < 2; ++at) {
    const auto batch = samples.read(at * 8, 8, pool);
    ASSERT_TRUE(batch.ok());
    EXPECT_EQ(batch->inputs.at("x").data<float>()[0], static_cast<float>(selection.first_sample(at)));
    EXPECT_EQ(samples.sample_name(at * 8 + 3), "sample " + std::to_string(selection.first_sample(at) + 3));
  }
  const Numbered few(3, 8);
  const auto batch = SelectedSamples(few, select(few, 100, 1)).read(0, 8, pool);
  ASSERT_TRUE(batch.ok());
  EXPECT_EQ(batch->count, 3);
}

}  // namespace
}  // namespace narrow::calib
