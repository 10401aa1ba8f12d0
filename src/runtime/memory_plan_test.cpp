#include "runtime/memory_plan.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/random.h"

namespace narrow::runtime {
namespace {

void expect_sound(const std::vector<Lifetime>& lives, const MemoryPlan& plan) {
  ASSERT_EQ(plan.offsets.size(), lives.size());
  int64_t end = 0, most = 0, steps = 0;
  for (size_t i = 0; i < lives.size(); ++i) {
    ASSERT_GE(plan.offsets[i], 0);
    ASSERT_EQ(plan.offsets[i] % 64, 0);
    end = std::max(end, plan.offsets[i] + lives[i].bytes);
    steps = std::max(steps, lives[i].last + 1);
    for (size_t j = 0; j < i; ++j) {
      const bool together = lives[i].first <= lives[j].last && lives[j].first <= lives[i].last;
      const bool apart = plan.offsets[i] + lives[i].bytes <= plan.offsets[j] ||
                         plan.offsets[j] + lives[j].bytes <= plan.offsets[i];
      ASSERT_TRUE(!together || apart) << i << " and " << j;
    }
  }
  for (int64_t step = 0; step < steps; ++step) {
    int64_t alive = 0;
    for (const Lifetime& l : lives) alive += l.first <= step && step <= l.last ? l.bytes : 0;
    most = std::max(most, alive);
  }
  EXPECT_EQ(plan.arena_bytes, end);
  EXPECT_EQ(plan.lower_bound, most);
  EXPECT_GE(plan.arena_bytes, plan.lower_bound);
}

TEST(MemoryPlan, NothingAliveTogetherOverlaps) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    std::vector<Lifetime> lives;
    for (int64_t i = random.integer(0, 60); i > 0; --i) {
      const int64_t first = random.integer(0, 30);
      lives.push_back(
          {random.integer(0, seed % 2 == 0 ? 5000 : 3) * 32, first, first + random.integer(0, 6)});
    }
    const MemoryPlan plan = plan_memory(lives);
    expect_sound(lives, plan);
    EXPECT_EQ(plan_memory(lives).offsets, plan.offsets);
  }
}

TEST(MemoryPlan, ReusesMemory) {
  // A chain: two neighbours are alive at a time, so two places do.
  std::vector<Lifetime> chain;
  for (int64_t i = 0; i < 10; ++i) chain.push_back({640, i, i + 1});
  const MemoryPlan plan = plan_memory(chain);
  expect_sound(chain, plan);
  EXPECT_EQ(plan.arena_bytes, 1280);
  EXPECT_EQ(plan.lower_bound, 1280);
  EXPECT_EQ(plan_memory({}).arena_bytes, 0);
}

}  // namespace
}  // namespace narrow::runtime
