// Recipes that hold several formats: each layer is planned, applied and counted in its own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "calib/calibrate.h"
#include "data/test_samples.h"
#include "numerics/distortion.h"
#include "quant/apply.h"
#include "quant/digest.h"
#include "quant/layer_bytes.h"
#include "quant/plan_formats.h"
#include "quant/regions.h"
#include "quant/sequential_rounding.h"
#include "runtime/reference/reference.h"
#include "runtime/test_graphs.h"
#include "tensor/packing.h"

namespace narrow::quant {
namespace {

const std::vector<NodeFormat> kEvery = {NodeFormat::int8, NodeFormat::int8_dynamic, NodeFormat::int4,
                                        NodeFormat::fp16, NodeFormat::bf16,         NodeFormat::fp32,
                                        NodeFormat::w4a8};
constexpr size_t kLayers = 6;

ir::Graph six_products() {
  return testing_graphs::graph_from(R"(graph g(%x: f32[N,48]) {
  @w: f32[48,40] = blob 0 7680
  @b: f32[40] = blob 7680 160
  @v: f32[40,36] = blob 8000 5760
  @c: f32[36] = blob 13760 144
  @u: f32[36,36] = blob 14016 5184
  @t: f32[36,40] = blob 20032 5760
  @d: f32[40] = blob 25792 160
  @s: f32[40,48] = blob 27008 7680
  @r: f32[48,32] = blob 35008 6144
  @e: f32[32] = blob 42048 128
  %l0 = Gemm(%x, @w, @b)
  %a0 = Relu(%l0)
  %l1 = Gemm(%a0, @v, @c)
  %a1 = Relu(%l1)
  %l2 = MatMul(%a1, @u)
  %a2 = Relu(%l2)
  %l3 = Gemm(%a2, @t, @d)
  %a3 = Relu(%l3)
  %l4 = MatMul(%a3, @s)
  %a4 = Relu(%l4)
  %l5 = Gemm(%a4, @r, @e)
  return %l5 as "y"
}
)");
}

calib::Profile profile_of(const ir::Graph& graph) {
  const TensorMap inputs = testing_graphs::inputs_for(graph, 9, 64);
  auto profile = calib::calibrate(graph, "m", data::Samples(inputs), std::make_shared<ThreadPool>(2), {});
  EXPECT_TRUE(profile.ok()) << (profile.ok() ? "" : profile.error().message());
  return std::move(profile).value();
}

/// Layer i in the format i + `turn` of kEvery.
Wide turned(size_t turn) {
  Wide wide;
  for (size_t i = 0; i < kLayers; ++i) {
    const NodeFormat format = kEvery[(i + turn) % kEvery.size()];
    if (format != NodeFormat::int8) wide["l" + std::to_string(i)] = {.reason = "a mix", .format = format};
  }
  return wide;
}

double sqnr_db(const ir::Graph& graph, const ir::Graph& original) {
  Distortion distortion;
  for (uint64_t seed = 0; seed < 3; ++seed) {
    const TensorMap inputs = testing_graphs::inputs_for(original, seed, 16);
    const auto got = runtime::reference::run(graph, inputs),
               wanted = runtime::reference::run(original, inputs);
    EXPECT_TRUE(got.ok()) << (got.ok() ? "" : got.error().message());
    if (!got.ok() || !wanted.ok()) return 0;
    distortion.add(to_floats(wanted->at("y")), to_floats(got->at("y")));
  }
  return distortion.sqnr_db();
}

Result<Recipe> plan_mix(const ir::Graph& graph, const calib::Profile& profile, const Wide& wide) {
  return plan(graph, &profile, Precision::int8, {.ranges = {}, .group_size = 16}, wide);
}

TEST(RecipeMix, EveryFormatBesideEveryOther) {
  const ir::Graph graph = six_products();
  const calib::Profile profile = profile_of(graph);
  for (size_t turn = 0; turn < kEvery.size(); ++turn) {
    const auto recipe = plan_mix(graph, profile, turned(turn));
    ASSERT_TRUE(recipe.ok()) << recipe.error().message();
    for (size_t i = 0; i < kLayers; ++i) {
      const std::string key = "l" + std::to_string(i);
      const NodeFormat format = kEvery[(i + turn) % kEvery.size()];
      EXPECT_EQ(recipe->nodes.at(key).format, format);
      EXPECT_EQ(recipe->weights.contains(key),
                computes_in_bytes(format) || format == NodeFormat::int8_dynamic);
      EXPECT_EQ(recipe->four_bit.contains(key), format == NodeFormat::w4a8);
      EXPECT_EQ(recipe->groups.contains(key), format == NodeFormat::int4);
    }
    const auto mixed = apply(graph, *recipe);
    ASSERT_TRUE(mixed.ok()) << mixed.error().message();
    // Uniform steps of 1/15 of a group's range: an int4 or w4a8 layer loses about 24 dB, all others less.
    EXPECT_GT(sqnr_db(*mixed, graph), 18) << turn;
    // It answers as the layers together lose, and not as if one of them were left out: 45 dB and more.
    EXPECT_LT(sqnr_db(*mixed, graph), 45) << turn;
  }
}

/// Scales that are stored in FP16 stay so beside layers that compute in FP16.
TEST(RecipeMix, GroupScalesStayFp16BesideHalfLayers) {
  const ir::Graph graph = six_products();
  const auto recipe = plan_mix(graph, profile_of(graph),
                               {{"l2", {.reason = "", .format = NodeFormat::int4}},
                                {"l3", {.reason = "", .format = NodeFormat::fp16}}});
  ASSERT_TRUE(recipe.ok());
  const auto mixed = apply(graph, *recipe);
  ASSERT_TRUE(mixed.ok()) << mixed.error().message();
  int scales = 0;
  for (const ir::Node* node : mixed->nodes_of(ir::Op::Cast))
    if (node->input(0)->is_constant()) {
      EXPECT_EQ(node->input(0)->type.dtype, DType::f16);
      ++scales;
    }
  EXPECT_EQ(scales, 1);
}

TEST(RecipeMix, WhatANodeCannotHaveIsFp32AndSaysWhy) {
  const ir::Graph graph = testing_graphs::graph_from(R"(graph g(%x: f32[N,4,6,6]) {
  @w: f32[4,1,3,3] = blob 0 144
  @v: f32[8,4,1,1] = blob 192 128
  %a = Conv(%x, @w) {group=4}
  %b = Relu(%a)
  %c = Conv(%b, @v)
  return %c as "y"
}
)");
  const auto recipe = plan_mix(graph, profile_of(graph),
                               {{"a", {.reason = "asked for", .format = NodeFormat::int8_dynamic}},
                                {"b", {.reason = "asked for", .format = NodeFormat::int4}}});
  ASSERT_TRUE(recipe.ok());
  for (const char* key : {"a", "b"}) {
    EXPECT_EQ(recipe->nodes.at(key).format, NodeFormat::fp32);
    EXPECT_THAT(recipe->nodes.at(key).reason, testing::StartsWith("asked for; not in int"));
  }
  EXPECT_THAT(recipe->nodes.at("a").reason, testing::HasSubstr("grouped"));
  EXPECT_TRUE(apply(graph, *recipe).ok());

  const auto tensorrt = plan(graph, nullptr, Precision::int4, {.ranges = {}, .target = Target::tensorrt},
                             {{"c", {.reason = "asked for", .format = NodeFormat::int8_dynamic}}});
  ASSERT_TRUE(tensorrt.ok());
  EXPECT_EQ(tensorrt->nodes.at("c").format, NodeFormat::fp32);
}

/// Codes of a uniform build go into the mix, format by format.
TEST(RecipeMix, LayersTakeTheRoundingOfTheirFormat) {
  const ir::Graph graph = six_products();
  const calib::Profile profile = profile_of(graph);
  Recipe dynamic = plan_int8_dynamic(graph, &profile),
         int4 = *plan(graph, &profile, Precision::int4, {.ranges = {}, .group_size = 16});
  dynamic.codes["l1"] = Tensor::zeros(DType::s8, {40, 36});
  int4.groups.at("l2").scale =
      Tensor::zeros(int4.groups.at("l2").scale.dtype(), int4.groups.at("l2").scale.shape());
  auto mix = plan_mix(graph, profile, turned(0));  // l1 int8-dynamic, l2 int4
  ASSERT_TRUE(mix.ok());
  const std::string before = digest(*mix);
  take_rounding(dynamic, *mix);
  take_rounding(int4, *mix);
  EXPECT_TRUE(mix->codes.at("l1").same_bits(dynamic.codes.at("l1")));
  EXPECT_TRUE(mix->groups.at("l2").scale.same_bits(int4.groups.at("l2").scale));
  EXPECT_FALSE(mix->codes.contains("l0"));
  EXPECT_NE(digest(*mix), before);
}

/// A w4a8 build has int8 layers, too, which were rounded for their neighbours there.
TEST(RecipeMix, BytesAreTakenFromTheirOwnBuild) {
  const ir::Graph graph = six_products();
  const calib::Profile profile = profile_of(graph);
  Recipe w4a8 = *plan(graph, &profile, Precision::w4a8, {.ranges = {}}, {});
  Recipe int8 = *plan_mix(graph, profile, {});
  w4a8.codes.at("l1") = Tensor::zeros(DType::s8, {40, 36});
  w4a8.nodes.at("l3").format = NodeFormat::int8;
  w4a8.four_bit.erase("l3");
  auto mix = plan_mix(graph, profile, {{"l1", {.reason = "", .format = NodeFormat::w4a8}}});
  ASSERT_TRUE(mix.ok());
  take_rounding(int8, *mix);
  take_rounding(w4a8, *mix, {NodeFormat::int8});
  EXPECT_TRUE(mix->codes.at("l1").same_bits(w4a8.codes.at("l1")));
  EXPECT_TRUE(mix->four_bit.at("l1").step.same_bits(w4a8.four_bit.at("l1").step));
  EXPECT_FALSE(mix->codes.contains("l3"));  // still the nearest
  EXPECT_EQ(mix->activations.at("a0").scale, int8.activations.at("a0").scale);
}

TEST(RecipeMix, FourBitsNeedWeightsToAverage) {
  const ir::Graph graph = testing_graphs::graph_from(R"(graph g(%x: f32[N,4,6,6]) {
  @w: f32[4,1,3,3] = blob 0 144
  @v: f32[8,4,3,3] = blob 192 1152
  %a = Conv(%x, @w) {group=4}
  %c = Conv(%a, @v)
  return %c as "y"
}
)");
  const auto recipe = plan_mix(graph, profile_of(graph),
                               {{"a", {.reason = "asked for", .format = NodeFormat::w4a8}},
                                {"c", {.reason = "asked for", .format = NodeFormat::w4a8}}});
  ASSERT_TRUE(recipe.ok());
  EXPECT_EQ(recipe->nodes.at("a").format, NodeFormat::int8);
  EXPECT_THAT(recipe->nodes.at("a").reason, testing::StartsWith("asked for; not in w4a8"));
  EXPECT_EQ(recipe->nodes.at("c").format, NodeFormat::w4a8);
  EXPECT_FALSE(recipe->four_bit.at("c").has_groups());  // 4 weights lie along their axis
  const auto half = plan(graph, nullptr, Precision::bf16, {.ranges = {}},
                         {{"c", {.reason = "asked for", .format = NodeFormat::w4a8}}});
  ASSERT_TRUE(half.ok());
  EXPECT_EQ(half->nodes.at("c").format, NodeFormat::fp32);
  EXPECT_THAT(half->nodes.at("c").reason, testing::HasSubstr("in bytes"));
}

/// Constants of more than eight numbers are weights, biases, scales and zero points of the one layer.
TEST(LayerBytes, AreThoseOfTheConstants) {
  const ir::Graph graph = testing_graphs::graph_from(R"(graph g(%x: f32[N,96]) {
  @w: f32[96,64] = blob 0 24576
  @b: f32[64] = blob 24576 256
  %y = Gemm(%x, @w, @b)
  return %y as "y"
}
)");
  const calib::Profile profile = profile_of(graph);
  for (const NodeFormat format : kEvery) {
    Wide wide;
    if (format != NodeFormat::int8) wide["y"] = {.reason = "", .format = format};
    const auto recipe = plan_mix(graph, profile, wide);
    ASSERT_TRUE(recipe.ok());
    const auto applied = apply(graph, *recipe);
    ASSERT_TRUE(applied.ok());
    int64_t bytes = 0;
    for (const ir::Value* value : applied->values())
      if (value->is_constant() && value->constant().elements() > 8)
        bytes += stored_bytes(value->constant().dtype(), value->constant().elements());
    EXPECT_EQ(layer_bytes(*graph.nodes().front(), *recipe), bytes) << to_string(format);
  }
}

}  // namespace
}  // namespace narrow::quant
