#include "quant/followers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "calib/calibrate.h"
#include "data/test_samples.h"
#include "numerics/distortion.h"
#include "quant/apply.h"
#include "quant/float_units.h"
#include "quant/test_encoder.h"
#include "runtime/reference/reference.h"

namespace narrow::quant {
namespace {

using testing::UnorderedElementsAreArray;
using Names = std::set<std::string>;

const std::map<std::string, Shape> kShapes = {{"input", {1, 6, 8}}};
const Names kLayers = {"in", "q1", "k1", "v1", "o4", "h1", "h4", "out"};

calib::Profile profile_of(const ir::Graph& graph) {
  const TensorMap inputs = testing_graphs::inputs_for(graph, 9, 32);
  auto profile = calib::calibrate(graph, "m", data::Samples(inputs), std::make_shared<ThreadPool>(2), {});
  EXPECT_TRUE(profile.ok()) << (profile.ok() ? "" : profile.error().message());
  return std::move(profile).value();
}

/// Layers and units by name.
Wide in_format(const ir::Graph& graph, const Names& names, NodeFormat format) {
  Wide wide;
  for (const std::string& name : names) wide[name] = {.reason = "a mix", .format = format};
  for (const FloatUnit& unit : float_units(graph, kShapes))
    if (names.contains(unit.key))
      for (const std::string& node : unit.able) wide[node] = {.reason = "a mix", .format = format};
  return wide;
}

Recipe mix(const ir::Graph& graph, const calib::Profile& profile, const Wide& wide) {
  auto recipe = plan(graph, &profile, Precision::int8, {}, wide);
  EXPECT_TRUE(recipe.ok()) << (recipe.ok() ? "" : recipe.error().message());
  return std::move(recipe).value();
}

Names nodes_in(const Recipe& recipe, NodeFormat format) {
  Names names;
  for (const auto& [name, choice] : recipe.nodes)
    if (choice.format == format) names.insert(name);
  return names;
}

size_t casts_of(const ir::Graph& graph, const Recipe& recipe) {
  const auto applied = apply(graph, recipe);
  EXPECT_TRUE(applied.ok()) << (applied.ok() ? "" : applied.error().message());
  return applied.ok() ? applied->nodes_of(ir::Op::Cast).size() : 0;
}

Names united(Names names, const Names& more) {
  names.insert(more.begin(), more.end());
  return names;
}

/// With every layer, norm and attention in one half format a mix is the build in that format.
TEST(Followers, NothingLiesBetweenWhereAllIsHalf) {
  for (const bool primitive : {false, true}) {
    const ir::Graph graph = testing_graphs::encoder(primitive);
    const calib::Profile profile = profile_of(graph);
    for (const NodeFormat format : {NodeFormat::fp16, NodeFormat::bf16}) {
      const Wide wide = in_format(graph, united(kLayers, {"n", "m", "z", "o1"}), format);
      const Recipe recipe = mix(graph, profile, wide), uniform = plan_half(graph, &profile, format);
      EXPECT_THAT(nodes_in(recipe, format), UnorderedElementsAreArray(nodes_in(uniform, format)));
      EXPECT_EQ(casts_of(graph, recipe), casts_of(graph, uniform));
      if (!primitive) {
        EXPECT_EQ(casts_of(graph, recipe), 2U);  // the input's and the output's
      }
    }
  }
}

/// The residual stream is FP32 as soon as one part of it or one of its readers is.
TEST(Followers, AttentionInHalfBesideAFeedForwardInBytes) {
  for (const bool primitive : {false, true}) {
    const ir::Graph graph = testing_graphs::encoder(primitive);
    const Wide wide = in_format(graph, {"n", "q1", "k1", "v1", "o1", "o4"}, NodeFormat::bf16);
    const Recipe recipe = mix(graph, profile_of(graph), wide);
    Names expected = {"q2", "k2", "v2", "q3", "k3", "v3", "o2", "o3", "o5"};
    if (primitive) expected.insert("k4");
    for (const auto& [name, layer] : wide) expected.insert(name);
    EXPECT_THAT(nodes_in(recipe, NodeFormat::bf16), UnorderedElementsAreArray(expected));
    EXPECT_THAT(nodes_in(recipe, NodeFormat::int8),
                UnorderedElementsAreArray({"in", "h1", "h2", "h3", "h4", "out"}));
    if (!primitive) {
      EXPECT_EQ(casts_of(graph, recipe), 2U);  // into the norm, out of the sum with the bias
    }
  }
}

TEST(Followers, WhatHasAFormatKeepsIt) {
  const ir::Graph graph = testing_graphs::encoder(false);
  const calib::Profile profile = profile_of(graph);
  Wide wide = in_format(graph, united(kLayers, {"n", "m", "z", "o1"}), NodeFormat::bf16);
  wide["h3"] = {.reason = "asked for", .format = NodeFormat::fp32};
  wide["o4"].format = NodeFormat::fp16;
  const Recipe recipe = mix(graph, profile, wide);
  EXPECT_EQ(recipe.nodes.at("h3").format, NodeFormat::fp32);
  EXPECT_EQ(recipe.nodes.at("h2").format, NodeFormat::bf16);  // the bias of a product is part of it
  EXPECT_EQ(recipe.nodes.at("o5").format, NodeFormat::fp16);
  for (const char* name : {"o2", "o3"}) EXPECT_EQ(recipe.nodes.at(name).format, NodeFormat::bf16) << name;
  for (const char* name : {"r1", "r2"}) EXPECT_FALSE(recipe.nodes.contains(name)) << name;
}

/// Between products in bytes, too: an attention is recognised with the movements around it, no cast between.
TEST(Followers, HeadsAreSplitAndJoinedInTheFormatOfAttention) {
  for (const bool primitive : {false, true}) {
    const ir::Graph graph = testing_graphs::encoder(primitive);
    const Recipe recipe = mix(graph, profile_of(graph), in_format(graph, {"o1"}, NodeFormat::bf16));
    Names expected = {"q2", "k2", "v2", "q3", "k3", "v3", "o1", "o2", "o3"};
    if (primitive) expected.merge(Names{"k4", "o1_scores", "o1_scaled"});
    EXPECT_THAT(nodes_in(recipe, NodeFormat::bf16), UnorderedElementsAreArray(expected));
  }
}

/// A sum that overflows FP16 stays FP32, and so do those that it goes into.
TEST(Followers, NothingBecomesFp16ThatOverflows) {
  const ir::Graph graph = testing_graphs::encoder(false);
  calib::Profile profile = profile_of(graph);
  profile.values.at("r1").histogram.add(std::vector<float>{5e4F});
  for (const NodeFormat format : {NodeFormat::fp16, NodeFormat::bf16}) {
    const Recipe recipe =
        mix(graph, profile, in_format(graph, united(kLayers, {"n", "m", "z", "o1"}), format));
    for (const char* name : {"r1", "r2"})
      EXPECT_EQ(recipe.nodes.contains(name), format == NodeFormat::bf16) << name;
    EXPECT_TRUE(recipe.nodes.contains("q2"));
  }
}

/// Norms that nobody names follow, in primitive ops as a whole or not at all.
TEST(Followers, NormsBetweenHalfLayersFollow) {
  for (const bool primitive : {false, true}) {
    const ir::Graph graph = testing_graphs::encoder(primitive);
    const calib::Profile profile = profile_of(graph);
    const Recipe all = mix(graph, profile, in_format(graph, united(kLayers, {"o1"}), NodeFormat::bf16));
    EXPECT_THAT(
        nodes_in(all, NodeFormat::bf16),
        UnorderedElementsAreArray(nodes_in(plan_half(graph, &profile, NodeFormat::bf16), NodeFormat::bf16)));
    Wide wide = in_format(graph, united(kLayers, {"o1"}), NodeFormat::bf16);
    wide.erase("h1");
    const Recipe some = mix(graph, profile, wide);
    for (const auto& [name, choice] : some.nodes)
      EXPECT_FALSE(name == "m" || name.starts_with("m_")) << name << " is in a norm that int8 reads";
    EXPECT_EQ(some.nodes.count("z"), 0U);  // r2 reads r1, which m reads
    EXPECT_EQ(some.nodes.count("n"), 1U);
  }
}

/// What follows computes: close to FP32 by bf16's 8 bits of fraction, and not exactly it.
TEST(Followers, AnswersAreThoseOfAHalfBuild) {
  for (const bool primitive : {false, true}) {
    const ir::Graph graph = testing_graphs::encoder(primitive);
    const calib::Profile profile = profile_of(graph);
    const Recipe recipe =
        mix(graph, profile, in_format(graph, united(kLayers, {"n", "m", "z", "o1"}), NodeFormat::bf16));
    const auto mixed = apply(graph, recipe),
               half = apply(graph, plan_half(graph, &profile, NodeFormat::bf16));
    ASSERT_TRUE(mixed.ok() && half.ok());
    const TensorMap inputs = testing_graphs::inputs_for(graph, 3, 16);
    const auto got = runtime::reference::run(*mixed, inputs), same = runtime::reference::run(*half, inputs),
               exact = runtime::reference::run(graph, inputs);
    ASSERT_TRUE(got.ok() && same.ok() && exact.ok());
    EXPECT_TRUE(got->at("y").same_bits(same->at("y")));
    Distortion distortion;
    distortion.add(to_floats(exact->at("y")), to_floats(got->at("y")));
    EXPECT_GT(distortion.sqnr_db(), 30);
    EXPECT_LT(distortion.sqnr_db(), 60);
  }
}

}  // namespace
}  // namespace narrow::quant
