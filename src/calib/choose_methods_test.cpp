#include "calib/choose_methods.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "calib/calibrate.h"
#include "data/test_samples.h"
#include "runtime/test_graphs.h"

namespace narrow::calib {
namespace {

/// 64 samples of 1024 normal numbers; one number is 200.
TensorMap with_outlier() {
  Random random(3);
  Tensor x = Tensor::allocate(DType::f32, {64, 1024});
  for (float& v : x.mutable_data<float>()) v = static_cast<float>(random.normal());
  x.mutable_data<float>()[5] = 200;
  return {{"x", x}};
}

Result<Range> chosen_range(const std::string& text, int threads = 2) {
  const ir::Graph graph = testing_graphs::graph_from(text);
  const data::Samples samples(with_outlier());
  const auto pool = std::make_shared<ThreadPool>(threads);
  NARROW_TRY(Profile profile, calibrate(graph, "m", samples, pool));
  NARROW_TRY(profile.methods, choose_methods(graph, profile, {"h"}, samples, pool));
  EXPECT_TRUE(profile.methods.contains("h"));
  return range_of(profile, "h", {.method = Method::automatic});
}

/// What is beyond 3 does not reach the output: a range up to 200 would round all the rest away.
TEST(ChooseMethods, CutsWhatTheModelIgnores) {
  const auto range = chosen_range(R"(graph g(%x: f32[N,1024]) {
    @two: f32[] = [2]
    @low: f32[] = [-3]
    @high: f32[] = [3]
    %h = Mul(%x, @two)
    %y = Clip(%h, @low, @high)
    return %y as "y"
  })");
  ASSERT_TRUE(range.ok()) << range.error().message();
  EXPECT_LT(range->high, 50);
}

/// The outlier is the answer: cutting it would lose everything.
TEST(ChooseMethods, KeepsWhatTheModelAnswersWith) {
  const auto range = chosen_range(R"(graph g(%x: f32[N,1024]) {
    @two: f32[] = [2]
    @axes: s64[1] = [1]
    %h = Mul(%x, @two)
    %y = ReduceMax(%h, @axes) {keepdims=1}
    return %y as "y"
  })");
  ASSERT_TRUE(range.ok()) << range.error().message();
  EXPECT_GT(range->high, 399);
}

TEST(ChooseMethods, DoesNotDependOnThreads) {
  const std::string text = R"(graph g(%x: f32[N,1024]) {
    @two: f32[] = [2]
    %h = Mul(%x, @two)
    %y = Tanh(%h)
    return %y as "y"
  })";
  const auto one = chosen_range(text, 1), three = chosen_range(text, 3);
  ASSERT_TRUE(one.ok() && three.ok());
  EXPECT_EQ(one->low, three->low);
  EXPECT_EQ(one->high, three->high);
}

TEST(RangeOf, AutoWithoutAChoiceIsMse) {
  Profile profile;
  const std::vector<float> values = {-1, 0.5F, 3, 100};
  profile.values["v"].histogram.add(values);
  const Range chosen = range_of(profile, "v", {.method = Method::automatic}),
              mse = range_of(profile, "v", {.method = Method::mse});
  EXPECT_EQ(chosen.low, mse.low);
  EXPECT_EQ(chosen.high, mse.high);
  EXPECT_EQ(range_of(profile, "nobody", {}).high, 0);
}

}  // namespace
}  // namespace narrow::calib
