#include "pipeline/judge.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "ir/text.h"
#include "quant/digest.h"
#include "quant/plan_formats.h"

namespace narrow::pipeline {
namespace {

/// 21 rows of 4 numbers, in batches of any size.
class Rows final : public data::Dataset {
 public:
  explicit Rows(bool labels) { info_.has_labels = labels; }
  int64_t size() const override { return 21; }
  Result<data::Batch> read(int64_t first, int64_t count, ThreadPool&) const override {
    std::vector<float> values;
    data::Batch batch;
    for (int64_t i = first; i < first + count; ++i) {
      for (int64_t k = 0; k < 4; ++k) values.push_back(static_cast<float>((i * 7 + k * 3) % 11) / 11 - 0.4F);
      if (info_.has_labels) batch.labels.push_back(i % 2);
    }
    batch.count = count;
    batch.inputs["x"] = Tensor::of({count, 4}, values);
    ++reads;
    return batch;
  }
  mutable int reads = 0;
};

ir::Graph graph() {
  auto graph = ir::parse(R"(graph g(%x: f32[N,4]) {
  @w: f32[4,3] = [0.1,-0.4,0.3,0.2,0.9,-0.7,0.5,0.6,-0.2,-0.8,0.05,0.4]
  %a: f32[N,3] = MatMul(%x, @w) "layer"
  return %a as "y"
}
)");
  EXPECT_TRUE(graph.ok()) << graph.error().message();
  return std::move(*graph);
}

calib::Profile profile() {
  calib::Profile profile;
  for (const char* name : {"x", "a"})
    profile.values[name].histogram.add(std::vector<float>{-0.6F, 0.1F, 0.7F});
  return profile;
}

std::vector<verify::Gate> gates(const std::vector<std::string>& texts) {
  std::vector<verify::Gate> list;
  for (const std::string& text : texts) list.push_back(*verify::parse_gate(text));
  return list;
}

TEST(Judge, FiguresGatesAndSlackOfARecipe) {
  const ir::Graph fp32 = graph();
  const Rows rows(false);
  auto judge = Judge::create(fp32, rows, {.gates = gates({"sqnr>=20dB", "sqnr>=90dB", "kld<=1", "p99<=1ms"})},
                             std::make_shared<ThreadPool>(1));
  ASSERT_TRUE(judge.ok()) << judge.error().message();
  EXPECT_EQ(judge->samples(), 21);
  EXPECT_EQ(judge->options().gates.size(), 3U);  // none about time
  const auto recipe = quant::plan_int8(fp32, profile(), {});
  const auto verdict = judge->judge({*recipe, nullptr});
  ASSERT_TRUE(verdict.ok()) << verdict.error().message();
  const double sqnr = verdict->sqnr_db();
  EXPECT_GT(sqnr, 30);
  EXPECT_LT(sqnr, 60);
  EXPECT_FALSE(verdict->holds);
  EXPECT_DOUBLE_EQ(verdict->slack[0], sqnr - 20);
  EXPECT_DOUBLE_EQ(verdict->slack[1], sqnr - 90);
  EXPECT_GT(verdict->slack[2], 0);
  EXPECT_DOUBLE_EQ(verdict->noise(), std::pow(10.0, -sqnr / 10));
  const auto exact = judge->judge({});  // FP32 itself
  ASSERT_TRUE(exact.ok());
  EXPECT_TRUE(exact->holds);
  EXPECT_EQ(exact->sqnr_db(), 200);
}

TEST(Judge, ARecipeIsBuiltOnceAndDataAreReadOnce) {
  const ir::Graph fp32 = graph();
  const Rows rows(false);
  auto judge = Judge::create(fp32, rows, {.gates = gates({"sqnr>=20dB"})}, std::make_shared<ThreadPool>(1));
  ASSERT_TRUE(judge.ok());
  EXPECT_EQ(rows.reads, 3);  // 8 + 8 + 5
  auto recipe = *quant::plan_int8(fp32, profile(), {});
  EXPECT_GT(judge->judge({recipe, nullptr})->seconds, 0);
  recipe.notes.emplace_back("words change nothing");
  const auto again = judge->judge({recipe, nullptr});
  EXPECT_EQ(again->seconds, 0);
  EXPECT_EQ(judge->judged(), 1);
  recipe.weights.begin()->second.scale[0] *= 2;
  const auto other = judge->judge({recipe, nullptr});
  EXPECT_EQ(judge->judged(), 2);
  EXPECT_LT(other->sqnr_db(), again->sqnr_db());
  EXPECT_EQ(rows.reads, 3);
}

TEST(Judge, ASubsetIsSpreadOverTheData) {
  const ir::Graph fp32 = graph();
  const Rows rows(true);
  auto judge = Judge::create(fp32, rows, {.gates = gates({"top1.drop<=1pp"}), .samples = 9},
                             std::make_shared<ThreadPool>(1));
  ASSERT_TRUE(judge.ok()) << judge.error().message();
  EXPECT_EQ(judge->samples(), 9);
  const auto verdict = judge->judge({});
  EXPECT_TRUE(verdict->holds);
  EXPECT_EQ(verdict->figures.samples, 9);
}

TEST(Judge, InOrderItStopsWhenGatesAreDecidedAndFp32AnswersNoFurther) {
  const ir::Graph fp32 = graph();
  const Rows rows(true);
  std::vector<int64_t> units = {20, 3, 7, 11, 0, 15, 9, 1, 18, 5, 13, 2};
  auto judge = Judge::create(
      fp32, rows,
      {.gates = gates({"agreement>=30%"}), .proof = verify::Proof::sequential, .units = std::move(units)},
      std::make_shared<ThreadPool>(1));
  ASSERT_TRUE(judge.ok()) << judge.error().message();
  EXPECT_EQ(rows.reads, 0);
  const auto verdict = judge->judge({});
  ASSERT_TRUE(verdict.ok()) << verdict.error().message();
  EXPECT_TRUE(verdict->holds);
  // Each sample that agrees multiplies the largest stake by 1 + 0.99 * 0.7 / 0.3 = 3.3: ln(40 / 0.43) /
  // ln 3.3.
  EXPECT_LE(verdict->figures.samples, 5);
  EXPECT_EQ(judge->samples(), verdict->figures.samples);
  EXPECT_EQ(rows.reads, verdict->figures.samples);
  EXPECT_LE(*verdict->gates[0].p, 0.025);
  // A recipe that answers otherwise goes over the same samples; those are not read again.
  auto broken = *quant::plan_int8(fp32, profile(), {});
  for (float& scale : broken.weights.begin()->second.scale) scale *= 1e4F;
  const auto other = judge->judge({broken, nullptr});
  ASSERT_TRUE(other.ok()) << other.error().message();
  EXPECT_FALSE(other->holds);
  EXPECT_EQ(rows.reads, std::max(verdict->figures.samples, other->figures.samples));
}

TEST(Judge, AGateThatCannotBeComputedIsAnError) {
  const ir::Graph fp32 = graph();
  const Rows rows(false);
  auto judge =
      Judge::create(fp32, rows, {.gates = gates({"top1.drop<=1pp"})}, std::make_shared<ThreadPool>(1));
  ASSERT_TRUE(judge.ok());
  EXPECT_EQ(judge->judge({}).error().code, Code::invalid_argument);
}

TEST(Digest, DependsOnWhatARecipeDoesOnly) {
  const ir::Graph fp32 = graph();
  const auto recipe = *quant::plan_int8(fp32, profile(), {});
  auto other = recipe;
  other.nodes["nowhere"] = {quant::NodeFormat::fp32, "a reason"};
  EXPECT_EQ(digest(recipe), digest(other));
  other.codes["a"] = Tensor::zeros(DType::s8, {4, 3});
  const std::string with_codes = digest(other);
  EXPECT_NE(digest(recipe), with_codes);
  other.codes["a"].mutable_data<int8_t>()[5] = 1;
  EXPECT_NE(with_codes, digest(other));
  auto formats = recipe;
  formats.nodes["a"].format = quant::NodeFormat::bf16;
  EXPECT_NE(digest(recipe), digest(formats));
}

}  // namespace
}  // namespace narrow::pipeline
