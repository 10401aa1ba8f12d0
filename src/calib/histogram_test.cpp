#include "calib/histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/random.h"

namespace narrow::calib {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity(), kNaN = std::numeric_limits<float>::quiet_NaN(),
                kMax = std::numeric_limits<float>::max();

Histogram of(const std::vector<float>& values) {
  Histogram h;
  h.add(values);
  return h;
}

void expect_equal(const Histogram& a, const Histogram& b) {
  EXPECT_EQ(a.to_json().dump(), b.to_json().dump());
  EXPECT_EQ(a.has_nan(), b.has_nan());
}

/// Each value's bin by the definition, in doubles.
void expect_counts(const Histogram& h, const std::vector<float>& values) {
  std::vector<int64_t> bins(Histogram::kBins, 0);
  int64_t finite = 0, zeros = 0;
  for (const float x : values) {
    if (!std::isfinite(x)) continue;
    ++finite, zeros += x == 0;
    constexpr int64_t kMiddle = Histogram::kBins / 2;
    const double bin = std::floor(x / h.bin_width()) + kMiddle;  // widths are powers of two: exact
    ASSERT_TRUE(bin >= 0 && bin < Histogram::kBins) << x << " of " << h.limit();
    ++bins[static_cast<size_t>(bin)];
  }
  EXPECT_EQ(h.count(), finite);
  EXPECT_EQ(h.zeros(), zeros);
  EXPECT_EQ(h.non_finite(), static_cast<int64_t>(values.size()) - finite);
  EXPECT_EQ(h.bins(), bins);
}

TEST(Histogram, CountsEachValueInItsBin) {
  Random random(1);
  std::vector<float> values = {0,    -0.0F, 1,    -1, 0.5F, std::nextafterf(1, 0), std::nextafterf(1, 2),
                               kNaN, kInf,  -kInf};
  for (int i = 0; i < 5000; ++i) values.push_back(static_cast<float>(random.normal() * 3));
  const Histogram h = of(values);
  expect_counts(h, values);
  EXPECT_TRUE(h.has_nan());
  EXPECT_EQ(h.min(), *std::min_element(values.begin() + 10, values.end()));
  EXPECT_EQ(h.max(), *std::max_element(values.begin() + 10, values.end()));
  int exponent = 0;
  EXPECT_EQ(std::frexp(h.limit(), &exponent), 0.5);
  EXPECT_GT(h.limit(), std::max(-h.min(), h.max()));
  EXPECT_LE(h.limit(), 2 * std::max(-h.min(), h.max()));
}

TEST(Histogram, EdgesOfTheRange) {
  for (const std::vector<float>& values : {std::vector<float>{0, 0, 0},
                                           {1},
                                           {-1},
                                           {kMax, -kMax, 0, 1e-30F},
                                           {1e-45F, -1e-45F},
                                           {0x1p-100F, -0x1p-101F, 0},
                                           {-2, 2},
                                           {-1e-20F, 1e30F}})
    expect_counts(of(values), {values.begin(), values.end()});
  EXPECT_EQ(Histogram().count(), 0);
  EXPECT_EQ(Histogram().min(), 0);
  EXPECT_EQ(of({kNaN, kInf}).count(), 0);
  EXPECT_EQ(of({kInf}).has_nan(), false);
}

/// The same data in any order, split into any batches, added or merged, is the same histogram.
TEST(Histogram, DependsOnTheDataOnly) {
  Random random(2);
  std::vector<float> values = {0, 0, -1e-20F, 1e-30F, -kMax, kNaN};
  for (int i = 0; i < 3000; ++i)
    values.push_back(static_cast<float>(random.normal() * std::exp2(random.uniform(-40, 60))));
  const Histogram once = of(values);
  for (int round = 0; round < 10; ++round) {
    for (size_t i = values.size() - 1; i > 0; --i)
      std::swap(values[i], values[static_cast<size_t>(random.integer(0, static_cast<int64_t>(i)))]);
    Histogram added, merged;
    for (size_t at = 0; at < values.size();) {
      const auto n = std::min(values.size() - at, static_cast<size_t>(random.integer(0, 400)));
      const std::span<const float> piece(values.data() + at, n);
      added.add(piece);
      Histogram part;
      part.add(piece);
      if (round % 2 == 0) {
        merged.merge(part);
      } else {
        part.merge(merged);
        merged = part;
      }
      at += n;
    }
    expect_equal(added, once);
    expect_equal(merged, once);
  }
}

TEST(Histogram, DoublingMergesBinsInPairs) {
  std::vector<float> values = {0, 0.5F, -0.5F, 0.999F};
  Histogram h = of(values);
  EXPECT_EQ(h.limit(), 1);
  h.add(std::vector<float>{1});  // the limit itself does not fit below the limit
  values.push_back(1);
  EXPECT_EQ(h.limit(), 2);
  expect_counts(h, values);
  // Zeros first: they are still in the bin of zero when large values have come.
  Histogram late = of({0, 0, 0});
  late.add(std::vector<float>{1000});
  EXPECT_EQ(late.bins()[Histogram::kBins / 2], 3);
}

TEST(Histogram, JsonIsLossless) {
  Random random(3);
  std::vector<float> values = {0, -0.0F, 1e-42F, kInf};
  for (int i = 0; i < 500; ++i) values.push_back(static_cast<float>(random.normal()));
  for (const Histogram& h : {of(values), Histogram(), of({kMax, -kMax}), of({1}), of({0})}) {
    const auto read = Histogram::from_json(Json::parse(h.to_json().dump()), "x");
    ASSERT_TRUE(read.ok()) << read.error().message();
    EXPECT_EQ(read->to_json().dump(), h.to_json().dump());
    EXPECT_EQ(read->bins(), h.bins());
    EXPECT_EQ(read->min(), h.min());
    EXPECT_EQ(read->limit(), h.limit());
  }
}

TEST(Histogram, HostileJsonIsRefused) {
  const Json good = of({1, 2, 3}).to_json();
  const auto refused = [&](const char* key, const Json& value) {
    Json bad = good;
    bad[key] = value;
    const auto read = Histogram::from_json(bad, "value 'x'");
    ASSERT_FALSE(read.ok()) << bad.dump();
    EXPECT_EQ(read.error().code, Code::invalid_data);
    EXPECT_EQ(read.error().subject, "value 'x'");
  };
  for (const char* key : {"min", "max", "limit", "count", "zeros", "non_finite", "bins"}) {
    for (const Json& value : {Json(), Json("1"), Json::array({Json()}), Json::object(), Json(true)})
      refused(key, value);
    Json missing = good;
    missing.erase(key);
    EXPECT_FALSE(Histogram::from_json(missing, "x").ok());
  }
  for (const Json& value : {Json(-1), Json(0.5), Json(1e300), Json(UINT64_MAX)}) refused("count", value);
  refused("count", 4);
  refused("zeros", 4);
  refused("zeros", -1);
  refused("non_finite", 1e300);
  for (const double limit : {0.0, -4.0, 3.0, 2.0, 0x1p-1000, 0x1p1000}) refused("limit", limit);
  for (const double low : {-5.0, 3.5, 1e300}) refused("min", low);
  for (const double high : {0.5, 4.0, 1e300}) refused("max", high);
  for (const Json& bins :
       {Json::array(), Json{3, 1}, Json{-4097, 3}, Json{-4096, 3}, Json{0, 3}, Json{INT64_MIN, 3},
        Json{INT64_MAX, INT64_MAX}, Json{1.5, 1.5}, Json{2}, Json{4}, Json{UINT64_MAX}})
    refused("bins", bins);
  for (const Json& other : {Json(), Json(1), Json::array(), Json("x")})
    EXPECT_FALSE(Histogram::from_json(other, "x").ok());
}

}  // namespace
}  // namespace narrow::calib
