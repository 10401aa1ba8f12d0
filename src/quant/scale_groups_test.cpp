// Scaling by powers of two is exact in floating point: whatever factors a group takes, the model must answer
// the same bits. Other factors round each number once or twice more; the answer stays within the bound that
// this gives.
#include "quant/scale_groups.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "quant/scale_test_graphs.h"
#include "runtime/reference/reference.h"

namespace narrow::quant {
namespace {

using testing_graphs::graph_from;
using testing_graphs::inputs_for;

std::vector<double> powers_of_two(int count, Random& random) {
  std::vector<double> factors;
  for (int i = 0; i < count; ++i) factors.push_back(std::exp2(static_cast<double>(random.integer(-3, 3))));
  return factors;
}

TensorMap answers(const ir::Graph& graph, uint64_t seed) {
  auto outputs = runtime::reference::run(graph, inputs_for(graph, seed));
  EXPECT_TRUE(outputs.ok()) << (outputs.ok() ? "" : outputs.error().message());
  return outputs.ok() ? *outputs : TensorMap();
}

class ScaleGroupsOf : public testing::TestWithParam<ScaleCase> {};

TEST_P(ScaleGroupsOf, AreTheOnesThatCanBeScaled) {
  const ir::Graph graph = graph_from(GetParam().text);
  std::vector<std::set<std::string>> values;
  for (const ScaleGroup& group : find_scale_groups(graph).groups) {
    values.emplace_back();
    for (const ScaledValue& value : group.values) values.back().insert(value.value->name);
    EXPECT_FALSE(group.producers.empty());
  }
  EXPECT_THAT(values, testing::ElementsAreArray(GetParam().groups));
}

TEST_P(ScaleGroupsOf, TakePowersOfTwoWithoutChangingABit) {
  const ir::Graph original = graph_from(GetParam().text);
  ir::Graph graph = graph_from(GetParam().text);
  Random random(3);
  for (const ScaleGroup& group : find_scale_groups(graph).groups)
    if (group.clips.empty()) rescale(graph, group, powers_of_two(group.factors, random));
  ASSERT_TRUE(ir::infer_types(graph).ok());
  ASSERT_TRUE(ir::verify(graph).ok());
  for (uint64_t seed = 0; seed < 3; ++seed) {
    const TensorMap wanted = answers(original, seed), got = answers(graph, seed);
    for (const auto& [name, tensor] : wanted) EXPECT_TRUE(got.at(name).same_bits(tensor)) << name;
  }
}

/// The values of a group really move: each is divided by its factors.
TEST_P(ScaleGroupsOf, DivideTheirValues) {
  const ir::Graph original = graph_from(GetParam().text);
  const size_t groups = find_scale_groups(original).groups.size();
  for (size_t g = 0; g < groups; ++g) {
    ir::Graph before = graph_from(GetParam().text), after = graph_from(GetParam().text);
    const ScaleGroup group = std::move(find_scale_groups(after).groups[g]);
    if (!group.clips.empty()) continue;
    Random random(5);
    const std::vector<double> factors = powers_of_two(group.factors, random);
    rescale(after, group, factors);
    for (const ScaledValue& value : group.values)
      for (ir::Graph* graph : {&before, &after})
        graph->add_output("value " + value.value->name, graph->find_value(value.value->name));
    const TensorMap wanted = answers(before, 1), got = answers(after, 1);
    for (const ScaledValue& value : group.values) {
      const Tensor &x = wanted.at("value " + value.value->name), &y = got.at("value " + value.value->name);
      const auto ids = expanded(value.factors, x.shape());
      ASSERT_TRUE(ids);
      const auto a = to_floats(x), b = to_floats(y);
      for (size_t i = 0; i < a.size(); ++i) {
        const double factor = ids->ids[i] == kFixed ? 1 : factors[static_cast<size_t>(ids->ids[i])];
        ASSERT_EQ(static_cast<double>(a[i]), static_cast<double>(b[i]) * factor)
            << value.value->name << " " << i;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Patterns, ScaleGroupsOf, testing::ValuesIn(scale_cases()),
                         [](const auto& c) { return c.param.name; });

TEST(ScaleGroups, EveryTestGraphTakesPowersOfTwo) {
  for (const auto& c : testing_graphs::float_graphs()) {
    SCOPED_TRACE(c.name);
    ir::Graph graph = graph_from(c.text);
    Random random(9);
    for (const ScaleGroup& group : find_scale_groups(graph).groups)
      if (group.clips.empty()) rescale(graph, group, powers_of_two(group.factors, random));
    const TensorMap wanted = answers(graph_from(c.text), 4), got = answers(graph, 4);
    for (const auto& [name, tensor] : wanted) EXPECT_TRUE(got.at(name).same_bits(tensor)) << name;
  }
}

TEST(ScaleGroups, ClipsAreNamedWithTheirBounds) {
  for (const ScaleCase& c : scale_cases()) {
    if (c.name != "unequal_bounds") continue;
    const ir::Graph graph = graph_from(c.text);
    const auto groups = find_scale_groups(graph).groups;
    ASSERT_EQ(groups.size(), 1U);
    ASSERT_EQ(groups[0].clips.size(), 1U);
    EXPECT_EQ(groups[0].clips[0].low, 0);
    EXPECT_EQ(groups[0].clips[0].high, 6);
    EXPECT_EQ(groups[0].clips[0].factors.ids.size(), 4U);
  }
}

TEST(ScaleGroups, WhatStandsInTheWayIsNamed) {
  const auto barriers_of = [](const std::string& name) {
    std::vector<std::string> list;
    for (const ScaleCase& c : scale_cases())
      if (c.name == name)
        for (const LeftAlone& left : find_scale_groups(graph_from(c.text)).barriers)
          list.push_back(left.value + ": " + left.reason);
    return list;
  };
  EXPECT_THAT(barriers_of("a_sigmoid_reads_it"), testing::Contains("a: read by Sigmoid 's'"));
  EXPECT_THAT(barriers_of("a_result_of_the_model"), testing::Contains("b: a result of the model"));
}

/// A constant with two readers: only the layer in question changes.
TEST(ScaleGroups, SharedConstantsAreCopied) {
  const std::string text = R"(graph g(%x: f32[N,4,5,5]) {
  @w: f32[4,4,1,1] = blob 0 64
  @b: f32[4] = blob 512 16
  %a = Conv(%x, @w, @b)
  %c = Conv(%a, @w, @b)
  %y = Conv(%c, @w, @b)
  return %y as "y"
}
)";
  ir::Graph graph = graph_from(text);
  Random random(1);
  const auto groups = find_scale_groups(graph).groups;
  ASSERT_EQ(groups.size(), 2U);
  for (const ScaleGroup& group : groups) rescale(graph, group, powers_of_two(group.factors, random));
  EXPECT_TRUE(answers(graph, 1).at("y").same_bits(answers(graph_from(text), 1).at("y")));
}

/// Relative to the sum of magnitudes that a layer adds up: n products summed in FP32 are off by n + 2
/// roundings in either graph (a bias and factors of Gemm: 4 more), the rescaled weights and biases by two
/// each. Activations and pools stretch no error. So the answers differ by at most  sum over layers (2 n + 16)
/// 2^-24  of the answer on magnitudes, which is what the graph of absolute numbers gives.
TEST(ScaleGroups, OtherFactorsRoundOnly) {
  for (const ScaleCase& c : scale_cases()) {
    if (c.name != "dense" && c.name != "depthwise_chain" && c.name != "pooled_into_gemm" &&
        c.name != "residual")
      continue;
    SCOPED_TRACE(c.name);
    ir::Graph graph = graph_from(c.text), magnitudes = graph_from(c.text);
    Random random(11);
    double terms = 0;
    for (ir::Node* node : magnitudes.nodes()) {
      for (ir::Value* input : node->inputs()) {
        if (input == nullptr || !input->is_constant() || input->type.dtype != DType::f32) continue;
        Tensor t = input->constant().clone();
        for (float& w : t.mutable_data<float>()) w = std::fabs(w);
        magnitudes.set_constant(input, t);
      }
      if (has_weight_view(*node)) {
        const WeightView w = weight_view(*node);
        terms += static_cast<double>(2 * w.inputs * w.positions + 16);
      } else {
        terms += 2 * 25;  // pools of up to 25 elements, sums
      }
    }
    for (const ScaleGroup& group : find_scale_groups(graph).groups) {
      std::vector<double> factors;
      for (int i = 0; i < group.factors; ++i) factors.push_back(std::exp(2 * random.normal()));
      rescale(graph, group, factors);
    }
    TensorMap inputs = inputs_for(graph, 2, 32);
    const auto wanted = runtime::reference::run(graph_from(c.text), inputs),
               got = runtime::reference::run(graph, inputs);
    for (auto& [name, tensor] : inputs)
      for (float& x : tensor.mutable_data<float>()) x = std::fabs(x);
    const auto size = runtime::reference::run(magnitudes, inputs);
    ASSERT_TRUE(wanted.ok() && got.ok() && size.ok());
    const auto a = to_floats(wanted->at("y")), b = to_floats(got->at("y")), m = to_floats(size->at("y"));
    bool differs = false;
    for (size_t i = 0; i < a.size(); ++i) {
      EXPECT_LE(std::fabs(static_cast<double>(a[i]) - static_cast<double>(b[i])),
                terms * 0x1p-24 * static_cast<double>(m[i]))
          << i;
      differs = differs || a[i] != b[i];
    }
    EXPECT_TRUE(differs);
  }
}

}  // namespace
}  // namespace narrow::quant
