#include "calib/check/diversity.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/random.h"

namespace narrow::calib {
namespace {

using Classes = std::vector<int64_t>;
using Sketches = std::vector<std::vector<double>>;

/// `n` classes of `of`, drawn evenly.
Classes drawn(Random& random, int n, int64_t of) {
  Classes list;
  for (int i = 0; i < n; ++i) list.push_back(random.integer(0, of - 1));
  return list;
}

TEST(EffectiveClasses, ByHand) {
  EXPECT_NEAR(effective_classes(Classes{4, 4, 4}), 1, 1e-12);
  EXPECT_NEAR(effective_classes(Classes{1, 2, 3, 4, 5, 1, 2, 3, 4, 5}), 5, 1e-12);
  // 3/4 and 1/4: exp(3/4 ln(4/3) + 1/4 ln 4)
  EXPECT_NEAR(effective_classes(Classes{7, 7, 7, 9}), std::pow(4.0 / 3, 0.75) * std::pow(4.0, 0.25), 1e-12);
}

TEST(CompareClasses, OneOfTenIsPoor) {
  Random random(1);
  const ClassDiversity d = compare_classes(Classes(40, 3), drawn(random, 400, 10), 1);
  EXPECT_EQ(d.samples, 40);
  EXPECT_NEAR(d.calibration, 1, 1e-12);
  EXPECT_GT(d.evaluation, 7);  // 40 draws of ten classes: nearly all of them
  EXPECT_LE(d.evaluation, 10);
  EXPECT_EQ(d.top_class, 3);
  EXPECT_EQ(d.top_share, 1);
  EXPECT_NEAR(d.top_share_evaluation, 0.1, 0.06);  // four deviations of 400 draws
  EXPECT_LT(d.chance, kRareChance);
  EXPECT_TRUE(d.is_poor);
}

TEST(CompareClasses, FewSamplesOfManyClassesAreNotPoor) {
  // No class in common, one sample of each: as diverse as so few can be.
  Classes calibration, evaluation;
  for (int64_t i = 0; i < 150; ++i) calibration.push_back(i);
  for (int64_t i = 0; i < 350; ++i) evaluation.push_back(1000 + i);
  const ClassDiversity d = compare_classes(calibration, evaluation, 1);
  EXPECT_NEAR(d.calibration, 150, 1e-9);
  EXPECT_NEAR(d.evaluation, 150, 1e-9);
  EXPECT_FALSE(d.is_poor);
  Random random(3);
  for (int pair = 0; pair < 20; ++pair) {
    EXPECT_FALSE(compare_classes(drawn(random, 12, 10), drawn(random, 200, 10), 1).is_poor);
    EXPECT_FALSE(compare_classes(drawn(random, 200, 10), drawn(random, 12, 10), 1).is_poor);
  }
  EXPECT_FALSE(compare_classes(Classes{1}, Classes{1, 2, 3}, 1).is_poor);
}

TEST(CompareClasses, TheLargerSetIsSeenAtTheSizeOfTheSmaller) {
  Random random(4);
  // Of 20 draws from 1000 classes nearly all differ; of 2000 draws many do not.
  const ClassDiversity d = compare_classes(drawn(random, 2000, 1000), drawn(random, 20, 1000), 1);
  EXPECT_EQ(d.samples, 20);
  EXPECT_GT(d.calibration, 17);
  EXPECT_LE(d.calibration, 20);
}

/// Mean squared distance from the mean, by loops.
double variance(const Sketches& set) {
  double sum = 0;
  for (size_t k = 0; k < set[0].size(); ++k) {
    double mean = 0, squares = 0;
    for (const auto& x : set) mean += x[k] / static_cast<double>(set.size());
    for (const auto& x : set) squares += (x[k] - mean) * (x[k] - mean);
    sum += squares / static_cast<double>(set.size() - 1);
  }
  return sum;
}

Sketches sketches(Random& random, int n, double spread, double centre = 0) {
  Sketches set(static_cast<size_t>(n), std::vector<double>(4));
  for (auto& sketch : set)
    for (double& x : sketch) x = centre + spread * random.normal();
  return set;
}

TEST(CompareVariety, IsTheRatioOfVariances) {
  Random random(5);
  const Sketches a = sketches(random, 30, 1, 5), b = sketches(random, 50, 3);
  const AnswerVariety v = compare_variety(a, b, 1);
  EXPECT_NEAR(v.ratio, variance(a) / variance(b), 1e-12);
  EXPECT_TRUE(v.is_poor);
  EXPECT_FALSE(compare_variety(b, a, 1).is_poor);
}

TEST(CompareVariety, SetsOfOneSourceAreNotPoor) {
  Random random(6);
  for (int pair = 0; pair < 20; ++pair)
    EXPECT_FALSE(compare_variety(sketches(random, 10, 1, 9), sketches(random, 12, 1), 1).is_poor);
  EXPECT_FALSE(compare_variety(sketches(random, 1, 1), sketches(random, 12, 1), 1).is_poor);
  EXPECT_EQ(compare_variety(sketches(random, 5, 0), sketches(random, 5, 0), 1).ratio, 1);
}

}  // namespace
}  // namespace narrow::calib
