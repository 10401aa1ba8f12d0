#include "pipeline/metric_command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/test_folder.h"
#include "data/npz.h"

namespace narrow::pipeline {
namespace {

const TensorMap kArrays = {{"y", Tensor::of<float>({2}, {1, 2})}};

TEST(MetricCommand, ReadsTheLastNumber) {
  EXPECT_EQ(*run_metric_command("echo 0.5 #", kArrays), 0.5);
  EXPECT_EQ(*run_metric_command("printf 'loading 3 files\\naccuracy: -1.25e2\\n\\n' #", kArrays), -125);
}

TEST(MetricCommand, GetsAFileItCanReadThatIsGoneAfterwards) {
  const TestFolder folder;
  const std::string copy = (folder / "copy.npz").string(), name = (folder / "name").string();
  const auto value = run_metric_command(
      "f() { cp \"$1\" '" + copy + "'; printf %s \"$1\" > '" + name + "'; echo 7; }; f", kArrays);
  ASSERT_TRUE(value.ok()) << value.error().message();
  EXPECT_EQ(*value, 7);
  EXPECT_TRUE(data::read_npz(copy)->at("y").same_bits(kArrays.at("y")));
  EXPECT_FALSE(std::filesystem::exists(TestFolder::read(name)));
}

TEST(MetricCommand, FailuresAreErrors) {
  for (const auto& [command, got] : {std::pair{"exit 3 #", "exit status 3"},
                                     {"echo 0.5; false #", "exit status 1"},
                                     {"true", "''"},
                                     {"echo good #", "'good'"},
                                     {"echo 0.5x #", "'0.5x'"},
                                     {"/no/such/program", "exit status 127"}}) {
    const auto value = run_metric_command(command, kArrays);
    ASSERT_FALSE(value.ok()) << command;
    EXPECT_EQ(value.error().code, Code::invalid_argument);
    EXPECT_THAT(value.error().got, testing::HasSubstr(got)) << command;
  }
}

TEST(OutputCollector, StacksBatches) {
  OutputCollector collector;
  data::Batch batch{
      .count = 2, .inputs = {}, .labels = {4, 5}, .targets = {{"t", Tensor::of<float>({2, 1}, {1, 2})}}};
  ASSERT_TRUE(collector.add(batch, {{"y", Tensor::of<float>({2, 2}, {1, 2, 3, 4})}}).ok());
  data::Batch last{
      .count = 1, .inputs = {}, .labels = {6}, .targets = {{"t", Tensor::of<float>({1, 1}, {3})}}};
  ASSERT_TRUE(collector.add(last, {{"y", Tensor::of<float>({1, 2}, {5, 6})}}).ok());
  const TensorMap& arrays = collector.arrays();
  EXPECT_EQ(arrays.at("y").shape(), (Shape{3, 2}));
  EXPECT_EQ(to_floats(arrays.at("y")), (std::vector<float>{1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(to_ints(arrays.at("labels")), (std::vector<int64_t>{4, 5, 6}));
  EXPECT_EQ(to_floats(arrays.at("target_t")), (std::vector<float>{1, 2, 3}));
}

/// Rows of another shape cannot be stacked under the others; they must not be written past the end either.
TEST(OutputCollector, RefusesRowsOfAnotherShapeOrType) {
  OutputCollector collector;
  const data::Batch batch{.count = 1, .inputs = {}, .labels = {}, .targets = {}};
  ASSERT_TRUE(collector.add(batch, {{"y", Tensor::of<float>({1, 1}, {1})}}).ok());
  for (const Tensor& other : {Tensor::zeros(DType::f32, {1, 4096}), Tensor::zeros(DType::f64, {1, 1}),
                              Tensor::zeros(DType::f32, {1})})
    EXPECT_EQ(collector.add(batch, {{"y", other}}).error().code, Code::invalid_argument);
  EXPECT_EQ(collector.arrays().at("y").shape(), (Shape{1, 1}));
}

}  // namespace
}  // namespace narrow::pipeline
