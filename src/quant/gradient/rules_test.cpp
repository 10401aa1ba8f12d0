// Every rule against finite differences.
#include <gtest/gtest.h>

#include "quant/gradient/finite_differences.h"
#include "quant/gradient/rule.h"

namespace narrow::quant::gradient {
namespace {

using testing_graphs::graph_from;
using testing_graphs::inputs_for;

struct RuleCaseText {
  std::string name, text;
  std::vector<std::string> weights;
};

std::vector<RuleCaseText> cases() {
  std::vector<RuleCaseText> list;
  const auto conv = [&](const std::string& name, const std::string& x, const std::string& w, int64_t bytes,
                        const std::string& attrs) {
    list.push_back({name,
                    "graph g(%x: f32[" + x + "]) {\n  @w: f32[" + w + "] = blob 0 " + std::to_string(bytes) +
                        "\n  %y = Conv(%x, @w) {" + attrs + "}\n  return %y as \"y\"\n}\n",
                    {"y"}});
  };
  conv("conv_1x1", "2,5,3,4", "7,5,1,1", 140, "");
  conv("conv_3x3", "2,3,5,4", "4,3,3,3", 432, "pads=[1,1,1,1]");
  conv("conv_3x3_wide", "1,40,3,3", "35,40,3,3", 50400, "pads=[1,1,1,1]");
  conv("conv_3x3_no_pads", "1,2,5,6", "3,2,3,3", 216, "");
  conv("conv_uneven_pads", "1,2,5,4", "3,2,3,2", 144, "pads=[2,0,1,1]");
  conv("conv_strided", "2,3,7,6", "4,3,3,3", 432, "pads=[1,1,1,1], strides=[2,2]");
  conv("conv_strided_rest", "1,2,8,8", "3,2,3,3", 216, "strides=[3,2]");
  conv("conv_1x1_strided", "2,3,5,6", "4,3,1,1", 48, "strides=[2,2]");
  conv("conv_dilated", "1,2,7,8", "3,2,3,3", 216, "pads=[2,2,2,2], dilations=[2,2]");
  conv("conv_dilated_strided", "1,2,9,8", "3,2,2,3", 144, "pads=[1,2,1,2], dilations=[2,2], strides=[2,1]");
  conv("conv_grouped", "2,6,4,3", "9,2,3,3", 648, "pads=[1,1,1,1], group=3");
  conv("conv_grouped_strided", "1,4,5,5", "6,2,3,3", 432, "pads=[1,1,1,1], group=2, strides=[2,2]");
  conv("conv_depthwise", "2,5,6,4", "5,1,3,3", 180, "pads=[1,1,1,1], group=5");
  conv("conv_depthwise_strided", "1,18,7,6", "18,1,3,3", 648, "pads=[1,1,1,1], group=18, strides=[2,2]");
  conv("conv_depthwise_5x5", "1,3,6,7", "3,1,5,5", 300, "pads=[2,2,2,2], group=3");
  conv("conv_depthwise_dilated", "1,3,7,7", "3,1,3,3", 108, "pads=[2,2,2,2], group=3, dilations=[2,2]");
  conv("conv_depth_multiplier", "1,3,5,4", "6,1,3,3", 216, "pads=[1,1,1,1], group=3");
  list.push_back({"conv_bias",
                  R"(graph g(%x: f32[1,3,4,4]) {
  @w: f32[4,3,1,1] = blob 0 48
  @b: f32[4] = [1,-1,0.5,2]
  %y = Conv(%x, @w, @b)
  return %y as "y"
})",
                  {"y"}});
  list.push_back({"matmul_weights",
                  R"(graph g(%x: f32[2,5,6]) {
  @w: f32[6,7] = blob 0 168
  %y = MatMul(%x, @w)
  return %y as "y"
})",
                  {"y"}});
  list.push_back({"gemm",
                  R"(graph g(%x: f32[5,6]) {
  @w: f32[6,3] = blob 0 72
  @b: f32[3] = [1,2,3]
  %y = Gemm(%x, @w, @b)
  return %y as "y"
})",
                  {"y"}});
  list.push_back({"gemm_transposed",
                  R"(graph g(%x: f32[5,6]) {
  @w: f32[3,6] = blob 0 72
  %y = Gemm(%x, @w) {transB=1}
  return %y as "y"
})",
                  {"y"}});
  const auto two = [&](const std::string& name, const std::string& a, const std::string& b,
                       const std::string& op) {
    list.push_back(
        {name,
         "graph g(%a: f32[" + a + "], %b: f32[" + b + "]) {\n  %y = " + op + "\n  return %y as \"y\"\n}\n",
         {}});
  };
  two("matmul", "2,3,4", "2,4,5", "MatMul(%a, %b)");
  two("matmul_broadcast", "2,1,3,4", "3,4,2", "MatMul(%a, %b)");
  two("matmul_shared_right", "2,3,4", "4,5", "MatMul(%a, %b)");
  two("add", "2,3,4", "2,3,4", "Add(%a, %b)");
  two("add_channels", "2,3,4,2", "3,1,1", "Add(%a, %b)");
  two("add_both_ways", "2,1,4", "3,1", "Add(%a, %b)");
  two("sub", "2,3", "3", "Sub(%a, %b)");
  two("mul", "2,3,4", "2,3,4", "Mul(%a, %b)");
  two("mul_gate", "2,3,4,2", "2,3,1,1", "Mul(%a, %b)");
  two("div", "2,3", "2,1", "Div(%a, %b)");
  two("max", "4,5", "4,5", "Max(%a, %b)");
  two("min", "4,5", "1,5", "Min(%a, %b)");
  two("prelu", "3,2,5", "2,1", "PRelu(%a, %b)");
  list.push_back({"a_value_read_three_times",
                  R"(graph g(%a: f32[2,3], %b: f32[2,3]) {
  %p = Mul(%a, %b)
  %q = Mul(%a, %a)
  %y = Add(%q, %p)
  return %y as "y"
})",
                  {}});
  two("concat", "2,3,2", "2,1,2", "Concat(%a, %b) {axis=1}");
  const auto one = [&](const std::string& name, const std::string& x, const std::string& body) {
    list.push_back({name, "graph g(%x: f32[" + x + "]) {\n" + body + "\n  return %y as \"y\"\n}\n", {}});
  };
  for (const char* op :
       {"Relu", "LeakyRelu", "Elu",      "Sigmoid", "HardSwish",         "Swish",        "Mish", "Tanh",
        "Gelu", "Softplus",  "Softsign", "Exp",     "Reciprocal",        "Abs",          "Neg",  "Erf",
        "Sin",  "Cos",       "Identity", "Flatten", "GlobalAveragePool", "GlobalMaxPool"})
    one(op, "2,3,3,2", std::string("  %y = ") + op + "(%x)");
  one("HardSigmoid", "2,3,3,2", "  %y = HardSigmoid(%x) {alpha=0.3}");
  one("gelu_tanh", "2,3,3,2", "  %y = Gelu(%x) {approximate=\"tanh\"}");
  one("clip", "2,3,3,2", "  @l: f32[] = [-0.5]\n  @h: f32[] = [1]\n  %y = Clip(%x, @l, @h)");
  one("log_of_square", "2,3", "  %s = Mul(%x, %x)\n  %y = Log(%s)");
  one("sqrt_of_square", "2,3", "  %s = Mul(%x, %x)\n  %y = Sqrt(%s)");
  one("square", "2,3", "  @e: f32[] = [2]\n  %y = Pow(%x, @e)");
  one("pow", "2,3", "  @e: f32[] = [1.7]\n  %s = Exp(%x)\n  %y = Pow(%s, @e)");
  one("where", "2,3", "  @z: f32[] = [0]\n  %c = Greater(%x, @z)\n  %e = Exp(%x)\n  %y = Where(%c, %e, %x)");
  one("softmax", "3,5", "  %y = Softmax(%x)");
  one("softmax_middle", "2,3,4", "  %y = Softmax(%x) {axis=1}");
  one("log_softmax", "3,5", "  %y = LogSoftmax(%x)");
  one("reduce_mean", "2,3,4", "  @a: s64[1] = [1]\n  %y = ReduceMean(%x, @a)");
  one("reduce_mean_dropped", "2,3,4,2", "  @a: s64[2] = [2,-1]\n  %y = ReduceMean(%x, @a) {keepdims=0}");
  one("reduce_sum", "2,3,4", "  @a: s64[2] = [0,2]\n  %y = ReduceSum(%x, @a)");
  one("reduce_squares", "2,3", "  @a: s64[1] = [1]\n  %y = ReduceSumSquare(%x, @a)");
  one("reduce_l2", "2,3", "  @a: s64[1] = [1]\n  %y = ReduceL2(%x, @a)");
  one("layer_norm", "3,8",
      "  @g: f32[8] = blob 0 32\n  @b: f32[8] = blob 64 32\n  %y = LayerNormalization(%x, @g, @b) {axis=-1}");
  one("rms_norm", "3,8", "  @g: f32[8] = blob 0 32\n  %y = RMSNormalization(%x, @g)");
  one("max_pool", "2,3,5,6", "  %y = MaxPool(%x) {kernel_shape=[3,2], strides=[2,1], pads=[1,0,1,1]}");
  one("average_pool", "1,2,5,6",
      "  %y = AveragePool(%x) {kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1]}");
  one("average_pool_padded", "1,2,5,6",
      "  %y = AveragePool(%x) {kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1], count_include_pad=1}");
  one("average_pool_ceil", "1,2,5,6",
      "  %y = AveragePool(%x) {kernel_shape=[2,2], strides=[2,2], ceil_mode=1, count_include_pad=1}");
  one("reshape", "2,3,4", "  @s: s64[2] = [4,6]\n  %y = Reshape(%x, @s)");
  one("squeeze", "2,1,3", "  @a: s64[1] = [1]\n  %q = Squeeze(%x, @a)\n  %y = Unsqueeze(%q, @a)");
  one("transpose", "2,3,4", "  %y = Transpose(%x) {perm=[2,0,1]}");
  one("slice", "2,5,4",
      "  @s: s64[2] = [4,1]\n  @e: s64[2] = [-6,3]\n  @a: s64[2] = [1,2]\n  @t: s64[2] = [-2,1]\n"
      "  %y = Slice(%x, @s, @e, @a, @t)");
  one("pad", "2,3", "  @p: s64[4] = [1,0,0,2]\n  @v: f32[] = [3]\n  %y = Pad(%x, @p, @v)");
  one("pad_reflect", "3,4", "  @p: s64[4] = [1,2,0,1]\n  %y = Pad(%x, @p) {mode=\"reflect\"}");
  one("split", "2,5",
      "  @s: s64[2] = [2,3]\n  %a, %b = Split(%x, @s) {axis=1}\n  %c = Exp(%a)\n"
      "  %y = Concat(%b, %c) {axis=1}");
  one("split_half_used", "2,5", "  @s: s64[2] = [2,3]\n  %a, %y = Split(%x, @s) {axis=1}");
  one("gather", "4,3", "  @i: s64[3] = [2,0,2]\n  %y = Gather(%x, @i)");
  one("expand", "3,1", "  @s: s64[3] = [2,3,4]\n  %y = Expand(%x, @s)");
  one("tile", "2,3", "  @r: s64[2] = [2,1]\n  %y = Tile(%x, @r)");
  one("depth_to_space", "1,8,2,3", "  %y = DepthToSpace(%x) {blocksize=2}");
  one("space_to_depth", "1,2,4,2", "  %y = SpaceToDepth(%x) {blocksize=2}");
  one("resize_nearest", "1,3,3,2",
      "  @s: f32[4] = [1,1,2,3]\n  %y = Resize(%x, -, @s) {mode=\"nearest\", "
      "coordinate_transformation_mode=\"asymmetric\", nearest_mode=\"floor\"}");
  one("mean_of_three", "2,3", "  %a = Exp(%x)\n  %b = Tanh(%x)\n  %y = Mean(%x, %a, %b)");
  return list;
}

class Rules : public testing::TestWithParam<RuleCaseText> {};

TEST_P(Rules, EqualFiniteDifferences) {
  const RuleCaseText& c = GetParam();
  const ir::Graph graph = graph_from(c.text);
  Wanted wanted{.weights = c.weights, .inputs = {}};
  for (const ir::Value* input : graph.inputs()) wanted.inputs.push_back(input->name);
  for (const Isa isa : {Isa::plain, Isa::avx2, Isa::avx512}) {
    if (!runs_here(isa)) continue;
    SCOPED_TRACE(to_string(isa));
    expect_gradients(graph, inputs_for(graph, 11), wanted, 12, isa);
  }
}
INSTANTIATE_TEST_SUITE_P(All, Rules, testing::ValuesIn(cases()),
                         [](const auto& test) { return test.param.name; });

/// Straight through: the gradient is that of the identity between the first and the last code.
TEST(QuantizeRule, PassesBetweenTheCodes) {
  const ir::Graph graph = graph_from(R"(graph g(%x: f32[6]) {
  @s: f32[] = [0.5]
  @z: u8[] = [10]
  %q = QuantizeLinear(%x, @s, @z)
  %y = DequantizeLinear(%q, @s, @z)
  return %y as "y"
})");
  const Tensor x = Tensor::of<float>({6}, {-5.3F, -5.2F, 0.0F, 3.0F, 122.7F, 122.8F});
  auto network =
      Network::create(graph, {{"x", {6}}}, {.weights = {}, .inputs = {"x"}}, std::make_shared<ThreadPool>(1));
  ASSERT_TRUE(network.ok()) << network.error().message();
  ASSERT_TRUE(network->forward({{"x", x}}).ok());
  const std::vector<float> rounded = {-5, -5, 0, 3, 122.5, 122.5};
  const auto y = network->output("y").data<float>();
  EXPECT_EQ(std::vector<float>(y.begin(), y.end()), rounded);
  ASSERT_TRUE(network->backward({{"y", Tensor::of<float>({6}, {1, 2, 3, 4, 5, 6})}}).ok());
  const auto dx = network->input_gradient("x").data<float>();
  EXPECT_EQ(std::vector<float>(dx.begin(), dx.end()), (std::vector<float>{0, 2, 3, 4, 5, 0}));
}

TEST(Network, AnOperatorWithoutARuleIsNamed) {
  const ir::Graph graph = graph_from(R"(graph g(%x: f32[2,3]) {
  @a: s64[] = [1]
  %y = CumSum(%x, @a) "running"
  return %y as "y"
})");
  const auto network = Network::create(graph, {{"x", {2, 3}}}, {.weights = {}, .inputs = {"x"}},
                                       std::make_shared<ThreadPool>(1));
  ASSERT_FALSE(network.ok());
  EXPECT_EQ(network.error().code, Code::unsupported);
  EXPECT_EQ(network.error().subject, "CumSum 'running'");
}

TEST(Network, NoRuleIsNeededWhereNoGradientPasses) {
  const ir::Graph graph = graph_from(R"(graph g(%x: f32[2,3]) {
  @a: s64[] = [1]
  @w: f32[3,2] = [1,2,3,4,5,6]
  %s = CumSum(%x, @a)
  %y = MatMul(%s, @w)
  return %y as "y"
})");
  expect_gradients(graph, inputs_for(graph, 1), {.weights = {"y"}, .inputs = {}}, 2);
}

}  // namespace
}  // namespace narrow::quant::gradient
