// Planning and applying a recipe: the graph that comes out is sound, standard, and answers like the original.
#include "quant/apply.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "passes/quant_view.h"

#include "calib/calibrate.h"
#include "data/test_samples.h"
#include "numerics/distortion.h"
#include "quant/plan_formats.h"
#include "quant/regions.h"
#include "quant/test_network.h"
#include "runtime/reference/reference.h"
#include "runtime/test_graphs.h"
#include "tensor/packing.h"

namespace narrow::quant {
namespace {

using testing_graphs::graph_from;
using testing_graphs::GraphCase;

std::vector<GraphCase> heavy_graphs() {
  auto list = testing_graphs::float_graphs();
  list.resize(4);  // those with convolutions and products
  return list;
}

/// Sixteen samples of a graph whose first axis may be fixed to one.
calib::Profile profile_of(const ir::Graph& graph) {
  TensorMap inputs = testing_graphs::inputs_for(graph, 9, 16);
  for (const ir::Value* input : graph.inputs())
    if (input->type.dims[0].known()) {
      Shape shape = input->type.shape();
      shape[0] = 16;
      Random random(9);
      Tensor t = Tensor::allocate(DType::f32, shape);
      for (float& x : t.mutable_data<float>()) x = static_cast<float>(random.normal());
      inputs[input->name] = t;
    }
  auto profile = calib::calibrate(graph, "m", data::Samples(inputs), std::make_shared<ThreadPool>(2),
                                  {.samples = 0, .batch = 1});
  EXPECT_TRUE(profile.ok()) << (profile.ok() ? "" : profile.error().message());
  return std::move(profile).value();
}

Result<TensorMap> run(const ir::Graph& graph, uint64_t seed) {
  return runtime::reference::run(graph, testing_graphs::inputs_for(graph, seed));
}

/// The least signal-to-noise ratio of an output against FP32, in dB, over a few inputs.
double worst_sqnr(const ir::Graph& graph, const ir::Graph& original) {
  std::map<std::string, Distortion> all;
  for (uint64_t seed = 0; seed < 5; ++seed) {
    const auto got = run(graph, seed), wanted = run(original, seed);
    EXPECT_TRUE(got.ok()) << (got.ok() ? "" : got.error().message());
    if (!got.ok()) return 0;
    for (const auto& [name, tensor] : *wanted) {
      EXPECT_EQ(got->at(name).dtype(), tensor.dtype());
      all[name].add(to_floats(tensor), to_floats(got->at(name)));
    }
  }
  double least = 200;
  for (const auto& [name, d] : all) least = std::min(least, d.has_non_finite() ? 0 : d.sqnr_db());
  return least;
}

size_t count(const ir::Graph& graph, ir::Op op) { return graph.nodes_of(op).size(); }

class Apply : public testing::TestWithParam<GraphCase> {};

TEST_P(Apply, Int8) {
  const ir::Graph graph = graph_from(GetParam().text);
  const calib::Profile profile = profile_of(graph);
  const auto recipe = plan_int8(graph, profile, {});
  ASSERT_TRUE(recipe.ok()) << recipe.error().message();
  const auto quantized = apply(graph, *recipe);
  ASSERT_TRUE(quantized.ok()) << quantized.error().message();
  EXPECT_TRUE(ir::verify(*quantized).ok());
  EXPECT_EQ(quantized->metadata.at(passes::kActivationsKey), passes::kParabolas);
  EXPECT_EQ(count(*quantized, ir::Op::QuantizeLinear), recipe->activations.size());
  size_t parameters = 0;
  for (const ir::Node* node : quantized->nodes()) {
    if (!recipe->weights.contains(key_of(*node))) continue;
    for (int i = 0; i <= 2; ++i) {
      if (node->input(i) == nullptr) continue;
      ASSERT_NE(node->input(i)->producer(), nullptr) << node->location() << " " << i;
      EXPECT_EQ(node->input(i)->producer()->op(), ir::Op::DequantizeLinear);
      const DType stored = node->input(i)->producer()->input(0)->type.dtype;
      EXPECT_EQ(stored, i == 0 ? DType::u8 : i == 1 ? DType::s8 : DType::s32);
      parameters += i > 0 ? 1 : 0;
    }
  }
  EXPECT_EQ(count(*quantized, ir::Op::DequantizeLinear), recipe->activations.size() + parameters);
  // 8 bits over +-3 deviations are about 40 dB a layer; a few layers and the clipped tails take some of it.
  EXPECT_GE(worst_sqnr(*quantized, graph), 22);
  EXPECT_EQ(ir::print(*quantized), ir::print(*apply(graph, *recipe)));
}

TEST_P(Apply, Halves) {
  const ir::Graph graph = graph_from(GetParam().text);
  const calib::Profile profile = profile_of(graph);
  for (const auto& [format, type, least] :
       {std::tuple{NodeFormat::bf16, DType::bf16, 35.0}, {NodeFormat::fp16, DType::f16, 53.0}}) {
    const Recipe recipe = plan_half(graph, &profile, format);
    EXPECT_TRUE(recipe.notes.empty());
    const auto narrow = apply(graph, recipe);
    ASSERT_TRUE(narrow.ok()) << narrow.error().message();
    int64_t heavy = 0;
    for (const ir::Node* node : narrow->nodes())
      if ((node->op() == ir::Op::Conv || node->op() == ir::Op::MatMul) && node->input(1)->is_constant()) {
        ++heavy;
        EXPECT_EQ(node->input(1)->type.dtype, type) << node->location();
        EXPECT_EQ(node->output()->type.dtype, type) << node->location();
      }
    EXPECT_GT(heavy, 0);
    for (const ir::GraphOutput& output : narrow->outputs()) EXPECT_EQ(output.value->type.dtype, DType::f32);
    // Rounding to p bits is a relative error of at most 2^-p, uniform: 6.02 p + 10.8 dB per rounding (p = 8:
    // 59, p = 11: 77 dB); some tens of roundings remain above 59 - 24 and 77 - 24.
    EXPECT_GE(worst_sqnr(*narrow, graph), least);
  }
}

TEST_P(Apply, MixedWidensWhatItIsTold) {
  const ir::Graph graph = graph_from(GetParam().text);
  const calib::Profile profile = profile_of(graph);
  std::string wide;
  for (const ir::Node* node : graph.nodes())
    if (wide.empty() && is_heavy(*node)) wide = key_of(*node);
  for (const NodeFormat format : {NodeFormat::fp32, NodeFormat::bf16}) {
    const auto recipe =
        plan_int8(graph, profile, {.ranges = {}, .wide_format = format}, {{wide, {.reason = "because"}}});
    ASSERT_TRUE(recipe.ok());
    EXPECT_EQ(recipe->nodes.at(wide).format, format);
    EXPECT_EQ(recipe->nodes.at(wide).reason, "because");
    EXPECT_FALSE(recipe->weights.contains(wide));
    const auto mixed = apply(graph, *recipe);
    ASSERT_TRUE(mixed.ok()) << mixed.error().message();
    EXPECT_GE(worst_sqnr(*mixed, graph), 22);
  }
}

INSTANTIATE_TEST_SUITE_P(Small, Apply, testing::ValuesIn(heavy_graphs()),
                         [](const auto& c) { return c.param.name; });

TEST(Apply, AnEmptyRecipeChangesNothing) {
  const ir::Graph graph = graph_from(heavy_graphs()[0].text);
  const auto same = apply(graph, {});
  ASSERT_TRUE(same.ok());
  EXPECT_EQ(ir::print(*same), ir::print(graph));
}

TEST(PlanInt8, MovementAndMaxPoolingKeepTheScale) {
  const ir::Graph graph = graph_from(R"(graph g(%x: f32[N,4,6,6]) {
  @w: f32[4,4,1,1] = blob 4096 64
  %a = Conv(%x, @w)
  %p = MaxPool(%a) {kernel_shape=[2,2]}
  %t = Transpose(%p) {perm=[0,1,3,2]}
  %g = AveragePool(%t) {kernel_shape=[2,2]}
  %y = Conv(%g, @w)
  return %y as "y"
}
)");
  const auto recipe = plan_int8(graph, profile_of(graph), {});
  ASSERT_TRUE(recipe.ok()) << recipe.error().message();
  EXPECT_EQ(recipe->activations.at("p"), recipe->activations.at("a"));
  EXPECT_EQ(recipe->activations.at("t"), recipe->activations.at("a"));
  EXPECT_FALSE(recipe->activations.at("g") == recipe->activations.at("a"));
}

TEST(PlanInt8, WhatFollowsFromShapesNeedsNoRanges) {
  // Calibration knows the batch and folds %rows and %code: it sees neither.
  const ir::Graph graph = graph_from(kCodeOfPositions);
  const calib::Profile profile = profile_of(graph);
  EXPECT_FALSE(profile.values.contains("rows"));
  const auto recipe = plan_int8(graph, profile, {});
  ASSERT_TRUE(recipe.ok()) << recipe.error().message();
  EXPECT_FALSE(recipe->weights.contains("code"));
  const auto quantized = apply(graph, *recipe);
  ASSERT_TRUE(quantized.ok()) << quantized.error().message();
  EXPECT_GE(worst_sqnr(*quantized, graph), 22);
}

/// An embedding of a million numbers before a product.
ir::Graph embedding() {
  constexpr int64_t kRows = 4096, kColumns = 256;
  Random random(3);
  const auto normals = [&](const Shape& shape) {
    Tensor t = Tensor::allocate(DType::f32, shape);
    for (float& x : t.mutable_data<float>()) x = static_cast<float>(random.normal());
    return t;
  };
  ir::Graph graph;
  ir::Value* tokens = graph.add_input("tokens", ir::TensorType::of(DType::s64, {2, 5}));
  ir::Value* table = graph.add_constant("table", normals({kRows, kColumns}));
  ir::Value* rows = graph.add_node(ir::Op::Gather, {table, tokens}, {"rows"})->output();
  ir::Value* weights = graph.add_constant("weights", normals({kColumns, 8}));
  graph.add_output("y", graph.add_node(ir::Op::MatMul, {rows, weights}, {"y"})->output());
  EXPECT_TRUE(ir::infer_types(graph).ok());
  return graph;
}

TEST(PlanInt8, LargeTablesAreStoredAsCodesAndDequantizedByTheRow) {
  const ir::Graph graph = embedding();
  calib::Profile profile;
  const std::vector<float> seen = {-4, 4};
  for (const char* name : {"rows", "y"}) profile.values[name].histogram.add(seen);
  const auto recipe = plan_int8(graph, profile, {}, {});
  ASSERT_TRUE(recipe.ok()) << recipe.error().message();
  EXPECT_TRUE(recipe->tables.contains("rows"));
  const auto narrow = apply(graph, *recipe);
  ASSERT_TRUE(narrow.ok()) << narrow.error().message();
  for (const ir::Value* value : narrow->values()) {
    const bool large = value->is_constant() && value->constant().elements() >= 1 << 20;
    EXPECT_TRUE(!large || value->type.dtype == DType::s8) << value->name;
  }
  const TensorMap tokens = {
      {"tokens", Tensor::of(Shape{2, 5}, std::vector<int64_t>{0, 1, 2, 3, 4, 9, 99, 999, 4095, 7})}};
  const auto wanted = runtime::reference::run(graph, tokens), got = runtime::reference::run(*narrow, tokens);
  ASSERT_TRUE(wanted.ok() && got.ok());
  Distortion distortion;
  distortion.add(to_floats(wanted->at("y")), to_floats(got->at("y")));
  EXPECT_GT(distortion.sqnr_db(), 30);  // 8 bits of normal numbers clipped at 4: about 37 dB each

  const auto spared = plan_int8(graph, profile, {}, {{"rows", {.reason = "asked to"}}});
  ASSERT_TRUE(spared.ok());
  EXPECT_TRUE(spared->tables.empty());
}

TEST(PlanInt8, WhatOnlyAConcatReadsTakesItsScale) {
  const ir::Graph graph = graph_from(R"(graph g(%x: f32[1,2,4,4]) {
  @w: f32[2,2,1,1] = [1, 2, 3, 4]
  %a: f32[1,2,4,4] = Conv(%x, @w)
  %b: f32[1,2,4,4] = Conv(%x, @w)
  %p: f32[1,2,4,4] = MaxPool(%b) {kernel_shape=[1,1]}
  %c: f32[1,4,4,4] = Concat(%a, %p) {axis=1}
  @v: f32[2,4,1,1] = [1, 2, 3, 4, 5, 6, 7, 8]
  %y: f32[1,2,4,4] = Conv(%c, @v)
  return %y as "y"
})");
  const auto recipe = plan_int8(graph, profile_of(graph), {}, {});
  ASSERT_TRUE(recipe.ok()) << recipe.error().message();
  for (const char* name : {"a", "b", "p"})
    EXPECT_EQ(recipe->activations.at(name), recipe->activations.at("c")) << name;
  EXPECT_NE(recipe->activations.at("x"), recipe->activations.at("c"));
}

/// Whether a value that `reader` reads, too, is stored with the scale of a Concat `times` as wide as its own.
bool shares_scale(double times, const std::string& reader) {
  const ir::Graph graph = graph_from(fmt::format(R"(graph g(%x: f32[1,2,4,4]) {{
  @w: f32[2,2,1,1] = [1, 2, 3, 4]
  @u: f32[2,2,1,1] = [{}, {}, {}, {}]
  %a: f32[1,2,4,4] = Conv(%x, @w)
  %b: f32[1,2,4,4] = Conv(%x, @u)
  %r: f32[1,2,4,4] = {}
  %c: f32[1,4,4,4] = Concat(%a, %b) {{axis=1}}
  @v: f32[2,4,1,1] = [1, 2, 3, 4, 5, 6, 7, 8]
  %y: f32[1,2,4,4] = Conv(%c, @v)
  %z: f32[1,2,4,4] = Conv(%r, @w)
  return %y as "y", %z as "z"
}})",
                                                 times, 2 * times, 3 * times, 4 * times, reader));
  const auto recipe = plan_int8(graph, profile_of(graph), {}, {});
  EXPECT_TRUE(recipe.ok());
  EXPECT_EQ(recipe->activations.at("b"), recipe->activations.at("c"));
  return recipe->activations.at("a") == recipe->activations.at("c");
}

TEST(PlanInt8, OthersThanAConcatReadItsScaleWhereItIsHardlyWider) {
  const std::string layer = "Conv(%a, @w)", moves = "MaxPool(%a) {kernel_shape=[1,1]}";
  EXPECT_TRUE(shares_scale(1.04, layer));
  EXPECT_FALSE(shares_scale(1.1, layer));
  EXPECT_FALSE(shares_scale(1.04, moves));  // what it makes has taken over the scale of `a`
}

TEST(PlanInt8, AMissingValueIsAnError) {
  const ir::Graph graph = graph_from(heavy_graphs()[0].text);
  calib::Profile profile = profile_of(graph);
  profile.values.erase("b");
  const auto recipe = plan_int8(graph, profile, {});
  ASSERT_FALSE(recipe.ok());
  EXPECT_EQ(recipe.error().code, Code::invalid_data);
  EXPECT_THAT(recipe.error().message(), testing::HasSubstr("'b'"));
}

TEST(PlanHalf, ValuesBeyondHalfStayFp32AndAreNamed) {
  const ir::Graph graph = graph_from(R"(graph g(%x: f32[N,2]) {
  @big: f32[2,2] = [1,2,3,40000]
  @w: f32[2,2] = [1,2,3,4]
  @loud: f32[2,2] = [20000,20000,20000,20000]
  %a = MatMul(%x, @w) "fine"
  %b = MatMul(%a, @big) "big weights"
  %c = MatMul(%a, @loud) "loud"
  return %b as "b", %c as "c"
}
)");
  const calib::Profile profile = profile_of(graph);
  const Recipe recipe = plan_half(graph, &profile, NodeFormat::fp16);
  EXPECT_EQ(recipe.nodes.at("a").format, NodeFormat::fp16);
  EXPECT_EQ(recipe.nodes.at("b").format, NodeFormat::fp32);
  EXPECT_THAT(recipe.nodes.at("b").reason, testing::HasSubstr("'big' reaches"));
  EXPECT_EQ(recipe.nodes.at("c").format, NodeFormat::fp32);
  EXPECT_THAT(recipe.nodes.at("c").reason, testing::HasSubstr("'c' reached"));
  EXPECT_EQ(recipe.notes.size(), 2U);
  EXPECT_THAT(recipe.notes[0], testing::HasSubstr("big weights"));
  EXPECT_TRUE(plan_half(graph, nullptr, NodeFormat::bf16).notes.empty());
  EXPECT_GE(worst_sqnr(*apply(graph, recipe), graph), 50);
}

TEST(Recipe, NamesRoundTripAndJson) {
  for (const Precision p :
       {Precision::fp32, Precision::fp16, Precision::bf16, Precision::int8, Precision::mixed})
    EXPECT_EQ(parse_precision(to_string(p)), p);
  EXPECT_FALSE(parse_precision("int5"));
  Recipe recipe;
  recipe.precision = Precision::mixed;
  recipe.nodes["a"] = {NodeFormat::bf16, "guilty"};
  recipe.activations["x"] = {.scale = {0.5F}, .zero_point = {3}, .axis = -1};
  const Json json = to_json(recipe);
  EXPECT_EQ(json["precision"], "mixed");
  EXPECT_EQ(json["nodes"]["a"]["reason"], "guilty");
  EXPECT_EQ(json["activations"]["x"]["zero_point"], 3);
}

/// The blocked DequantizeLinear and its Cast give the very weights that were planned.
TEST_P(Apply, WeightOnlyComputesWithThePlannedWeights) {
  const ir::Graph graph = graph_from(GetParam().text);
  for (const auto& [bits, group_size] : {std::pair{4, 4}, {3, 4}, {2, 4}, {4, 0}, {3, 64}}) {
    const Recipe recipe = plan_weight_only(graph, nullptr, {.bits = bits, .group_size = group_size});
    const auto quantized = apply(graph, recipe);
    ASSERT_TRUE(quantized.ok()) << quantized.error().message();
    EXPECT_EQ(count(*quantized, ir::Op::DequantizeLinear), recipe.groups.size());
    ir::Graph replaced = graph.clone();
    for (ir::Node* node : replaced.nodes())
      if (const auto found = recipe.groups.find(key_of(*node)); found != recipe.groups.end())
        replaced.set_input(node, 1, replaced.add_constant("planned", dequantize_groups(found->second)));
    for (uint64_t seed = 0; seed < 3; ++seed) {
      const auto got = run(*quantized, seed), wanted = run(replaced, seed);
      ASSERT_TRUE(got.ok() && wanted.ok());
      for (const auto& [name, tensor] : *wanted) EXPECT_TRUE(got->at(name).same_bits(tensor)) << name;
    }
  }
}

/// What is counted for the weights is what the constants before their DequantizeLinear take, packed: 4-bit
/// codes fill bytes here, so the count is exact.
TEST(ApplyGroups, StoredBitsAreThoseOfTheConstants) {
  const ir::Graph graph = graph_from(R"(graph g(%x: f32[N,96]) {
  @w: f32[96,64] = blob 0 24576
  @v: f32[64,10] = blob 24576 2560
  %a = MatMul(%x, @w)
  %b = Relu(%a)
  %y = MatMul(%b, @v)
  return %y as "y"
}
)");
  for (const int64_t group_size : {0, 16, 32, 64, 128, 256}) {
    const Recipe recipe = plan_weight_only(graph, nullptr, {.bits = 4, .group_size = group_size});
    const auto quantized = apply(graph, recipe);
    ASSERT_TRUE(quantized.ok()) << quantized.error().message();
    int64_t bytes = 0, weights = 0;
    for (const ir::Node* node : quantized->nodes_of(ir::Op::DequantizeLinear)) {
      weights += node->input(0)->constant().elements();
      for (const ir::Value* input : node->inputs()) {
        const ir::Value* stored = input->is_constant() ? input : input->producer()->input(0);
        bytes += stored_bytes(stored->constant().dtype(), stored->constant().elements());
      }
    }
    const StoredWeights counted = stored_weights(recipe);
    EXPECT_EQ(counted.weights, weights) << group_size;
    EXPECT_EQ(counted.weights, 96 * 64 + 64 * 10);
    EXPECT_EQ(counted.bits, 8 * bytes) << group_size;
    // A scale of 16 and a zero point of 4 bits for every group, or column that is shorter.
    const int64_t first = group_size == 0 ? 96 : group_size, second = group_size == 0 ? 64 : group_size;
    const int64_t groups = 64 * ((96 + first - 1) / first) + 10 * ((64 + second - 1) / second);
    EXPECT_EQ(counted.bits, 4 * counted.weights + 20 * groups) << group_size;
    EXPECT_EQ(to_json(recipe)["stored_weights"]["bits"], counted.bits);
  }
}

TEST_P(Apply, WeightOnlyBiasesTakeTheMeanShiftBack) {
  const ir::Graph graph = graph_from(GetParam().text);
  const calib::Profile profile = profile_of(graph);
  const GroupOptions options{.bits = 4, .group_size = 4};
  const auto corrected = apply(graph, plan_weight_only(graph, &profile, options));
  ASSERT_TRUE(corrected.ok()) << corrected.error().message();
  EXPECT_GT(worst_sqnr(*corrected, graph), 10);  // 4 bits: 24 dB a layer less its depth and small groups
}

/// Rows scaled by themselves: 127 steps a side. Normal rows reach 3 sigma: 43 dB of the data, about as much
/// of the weights, halved again by the few layers of these graphs.
TEST_P(Apply, Int8DynamicIsClose) {
  const ir::Graph graph = graph_from(GetParam().text);
  const Recipe recipe = plan_int8_dynamic(graph, nullptr);
  const auto quantized = apply(graph, recipe);
  ASSERT_TRUE(quantized.ok()) << quantized.error().message();
  size_t dynamic = 0;
  for (const auto& [key, choice] : recipe.nodes) dynamic += choice.format == NodeFormat::int8_dynamic ? 1 : 0;
  EXPECT_EQ(count(*quantized, ir::Op::DequantizeLinear) - count(*quantized, ir::Op::QuantizeLinear), dynamic);
  EXPECT_GT(worst_sqnr(*quantized, graph), 28);
}

TEST(ApplyDynamic, ARowDoesNotSeeItsNeighbours) {
  const ir::Graph graph = graph_from(R"(graph g(%x: f32[N,8]) {
    @w: f32[8,3] = [0.5,-1,0.25,0.1,0.9,-0.7,0.3,-0.2,0.6,1,0.4,-0.5,0.7,0.2,-0.1,0.8,-0.9,0.35,0.15,0.45,-0.6,0.55,0.05,-0.3]
    @b: f32[3] = [1,-2,3]
    %y = Gemm(%x, @w, @b)
    return %y as "y"
  })");
  const auto quantized = apply(graph, plan_int8_dynamic(graph, nullptr));
  ASSERT_TRUE(quantized.ok()) << quantized.error().message();
  std::vector<float> x(24, 0.0F);  // three rows: random, zeros, random
  Random random(5);
  for (size_t i = 0; i < 8; ++i) x[i] = static_cast<float>(random.normal()), x[16 + i] = 2 * x[i];
  const auto small = runtime::reference::run(*quantized, {{"x", Tensor::of(Shape{3, 8}, x)}});
  for (size_t i = 0; i < 8; ++i) x[i] *= 1000;
  const auto large = runtime::reference::run(*quantized, {{"x", Tensor::of(Shape{3, 8}, x)}});
  ASSERT_TRUE(small.ok() && large.ok());
  const auto a = to_floats(small->at("y")), b = to_floats(large->at("y"));
  for (size_t i = 3; i < 9; ++i) EXPECT_EQ(a[i], b[i]);
  EXPECT_EQ(std::vector<float>(a.begin() + 3, a.begin() + 6), (std::vector<float>{1, -2, 3}));  // the bias
}

}  // namespace
}  // namespace narrow::quant
