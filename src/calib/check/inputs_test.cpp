#include "calib/check/inputs.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/random.h"
#include "data/test_samples.h"

namespace narrow::calib {
namespace {

Tensor image_of(Random& random, Shape shape, double mean = 0, double spread = 1) {
  Tensor t = Tensor::allocate(DType::f32, std::move(shape));
  for (float& x : t.mutable_data<float>()) x = static_cast<float>(mean + spread * random.normal());
  return t;
}

/// Values of one channel of an image, by loops.
std::vector<double> channel_of(const Tensor& t, int64_t axis, int64_t channel) {
  const Shape& shape = t.shape();
  std::vector<double> values;
  const auto x = t.data<float>();
  for (int64_t i = 0; i < t.elements(); ++i) {
    int64_t rest = i;
    std::vector<int64_t> at(shape.size());
    for (size_t d = shape.size(); d-- > 0;) at[d] = rest % shape[d], rest /= shape[d];
    if (at[static_cast<size_t>(axis)] == channel)
      values.push_back(static_cast<double>(x[static_cast<size_t>(i)]));
  }
  return values;
}

double mean_of(const std::vector<double>& values) {
  double sum = 0;
  for (const double x : values) sum += x;
  return sum / static_cast<double>(values.size());
}

double deviation_of(const std::vector<double>& values) {
  const double mean = mean_of(values);
  double sum = 0;
  for (const double x : values) sum += (x - mean) * (x - mean);
  return std::sqrt(sum / static_cast<double>(values.size()));
}

TEST(AddInput, CountsChannelsOfEitherLayout) {
  Random random(1);
  for (const auto& [shape, axis] : {std::pair<Shape, int64_t>{{2, 3, 5, 7}, 1}, {{2, 5, 7, 3}, 3}}) {
    InputFacts facts;
    const Tensor t = image_of(random, shape, 3);
    add_input(facts, t);
    finish(facts);
    EXPECT_EQ(facts.channel_axis, axis);
    ASSERT_EQ(facts.channels.size(), 3U);
    double most = 0;
    for (int64_t c = 0; c < 3; ++c) {
      const std::vector<double> wanted = channel_of(t, axis, c);
      const ChannelFacts& got = facts.channels[static_cast<size_t>(c)];
      EXPECT_EQ(got.count, static_cast<int64_t>(wanted.size()));
      EXPECT_NEAR(got.mean, mean_of(wanted), 1e-9);
      EXPECT_NEAR(got.spread, deviation_of(wanted), 1e-9);
      EXPECT_EQ(static_cast<double>(got.min), *std::min_element(wanted.begin(), wanted.end()));
      EXPECT_EQ(static_cast<double>(got.max), *std::max_element(wanted.begin(), wanted.end()));
      most = std::max(most, deviation_of(wanted));
    }
    EXPECT_NEAR(facts.contrast.at(0), most, 1e-6);
  }
}

TEST(AddInput, WhatIsNoImageIsOneChannel) {
  Random random(2);
  for (const Shape& shape : {Shape{1, 40}, Shape{1, 8, 5, 6}, Shape{1, 3, 9}}) {
    InputFacts facts;
    add_input(facts, image_of(random, shape));
    finish(facts);
    EXPECT_EQ(facts.channel_axis, -1);
    EXPECT_EQ(facts.channels.size(), 1U);
  }
}

TEST(AddInput, CountsIds) {
  InputFacts facts;
  add_input(facts, Tensor::of<int64_t>({1, 4}, {5, 5, 5, -1}));
  add_input(facts, Tensor::of<int64_t>({1, 4}, {5, 5, 5, 5}));
  EXPECT_TRUE(facts.categorical);
  EXPECT_EQ(facts.categories, (std::map<int64_t, int64_t>{{5, 7}, {kMostCategories - 1, 1}}));
  EXPECT_EQ(facts.contrast, (std::vector<float>{1, 0}));
  EXPECT_EQ(category_of(kMostCategories + 3), 3);
}

/// Stacks images; they are the samples of a set.
SetFacts facts_of(const std::vector<Tensor>& images) {
  Shape shape = images.front().shape();
  shape[0] = static_cast<int64_t>(images.size());
  std::vector<float> all;
  for (const Tensor& t : images) all.insert(all.end(), t.data<float>().begin(), t.data<float>().end());
  ThreadPool pool(1);
  const data::Samples dataset({{"x", Tensor::of<float>(shape, all)}});
  Selection in_order{.unit = 1, .units = {}, .sequence = true};
  for (int64_t i = 0; i < shape[0]; ++i) in_order.units.push_back(i);
  const auto facts = read_inputs(dataset, in_order, pool);
  EXPECT_TRUE(facts.ok());
  return *facts;
}

TEST(BlankSamples, AreConstantOrNearlySo) {
  Random random(3);
  std::vector<Tensor> images;
  for (int i = 0; i < 9; ++i) images.push_back(image_of(random, {1, 3, 4, 4}));
  Tensor flat = Tensor::zeros(DType::f32, {1, 3, 4, 4});
  for (int64_t i = 0; i < 48; ++i)
    flat.mutable_data<float>()[static_cast<size_t>(i)] = static_cast<float>(i / 16);
  images[2] = flat;                                     // a colour
  images[5] = image_of(random, {1, 3, 4, 4}, 1, 0.01);  // a colour with noise
  images[7] = image_of(random, {1, 3, 4, 4}, 1, 0.2);   // little contrast, but some
  EXPECT_EQ(blank_samples(facts_of(images)), (std::vector<int64_t>{2, 5}));
  EXPECT_EQ(blank_samples(facts_of({flat, flat, flat})), (std::vector<int64_t>{0, 1, 2}));
}

TEST(BlankSamples, TenthsAreExactlyConstant) {
  // Sums of 0.1F round: the variance that follows from them must not count as contrast.
  const std::vector<float> values(3 * 64 * 64, 0.1F);
  const Tensor grey = Tensor::of<float>({1, 3, 64, 64}, values);
  EXPECT_EQ(blank_samples(facts_of({grey, grey})).size(), 2U);
}

TEST(BlankSamples, SmallInputsTellNothing) {
  Random random(4);
  EXPECT_TRUE(blank_samples(facts_of({Tensor::zeros(DType::f32, {1, 4}), Tensor::zeros(DType::f32, {1, 4})}))
                  .empty());
  SetFacts two;  // a mask that is always on beside ids that differ
  two.hashes = {1, 2};
  for (const char* name : {"ids", "mask"})
    two.inputs[name].elements = 20, two.inputs[name].categorical = true;
  two.inputs["ids"].contrast = {1, 0};
  two.inputs["mask"].contrast = {0, 0};
  EXPECT_EQ(blank_samples(two), (std::vector<int64_t>{1}));
}

TEST(Duplicates, AreGroupedWithoutBlanks) {
  Random random(5);
  const Tensor a = image_of(random, {1, 1, 4, 4}), b = image_of(random, {1, 1, 4, 4}),
               c = image_of(random, {1, 1, 4, 4}), zero = Tensor::zeros(DType::f32, {1, 1, 4, 4});
  const SetFacts facts = facts_of({a, b, a, c, b, zero, b, zero});
  const std::vector<std::vector<int64_t>> wanted = {{1, 4, 6}, {0, 2}};
  EXPECT_EQ(duplicates(facts), wanted);
  EXPECT_TRUE(duplicates(facts_of({a, b, c})).empty());
}

}  // namespace
}  // namespace narrow::calib
