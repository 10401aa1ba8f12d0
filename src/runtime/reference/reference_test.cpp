// What evaluate() and run() promise beyond single ops: every op is there, wrong input is an error that names
// the node.
#include <gmock/gmock.h>

#include "runtime/reference/op_case.h"

namespace narrow::runtime::reference::testing_ops {
namespace {

using ir::Op;
using testing::HasSubstr;

TEST(Reference, HasEveryOp) {
#define NARROW_OP(name) EXPECT_TRUE(supports(Op::name)) << #name;
#include "ir/ops.inc"
#undef NARROW_OP
}

TEST(Reference, RunsAGraphInOrder) {
  ir::Graph graph;
  ir::Value* x = graph.add_input("x", ir::TensorType::of(DType::f32, {2}));
  ir::Value* one = graph.add_constant("one", f32({1}, {1}));
  ir::Value* y = graph.add_node(Op::Add, {x, one}, {"y"})->output();
  ir::Value* z = graph.add_node(Op::Mul, {y, y}, {"z"})->output();
  graph.add_output("y", y);
  graph.add_output("z", z);
  graph.add_output("one", one);
  const auto results = run(graph, {{"x", f32({2}, {1, 2})}});
  ASSERT_TRUE(results.ok()) << results.error().message();
  expect_same(results->at("y"), f32({2}, {2, 3}));
  expect_same(results->at("z"), f32({2}, {4, 9}));
  expect_same(results->at("one"), f32({1}, {1}));
}

TEST(Reference, RunChecksItsInputs) {
  ir::Graph graph;
  graph.add_output("x", graph.add_input("x", ir::TensorType::of(DType::f32, {2})));
  for (const TensorMap& inputs :
       {TensorMap{}, TensorMap{{"x", f32({3}, {1, 2, 3})}}, TensorMap{{"x", s64({1, 2})}}}) {
    const auto results = run(graph, inputs);
    ASSERT_FALSE(results.ok());
    EXPECT_EQ(results.error().code, Code::invalid_data);
    EXPECT_THAT(results.error().subject, HasSubstr("'x'"));
  }
}

TEST(Reference, LayerNormStatisticsStayFloatBesideHalfData) {
  const Tensor x = cast(f32({1, 2}, {1, 3}), DType::f16), scale = cast(f32({2}, {1, 1}), DType::f16);
  const auto y = evaluate_op(Op::LayerNormalization, {x, scale}, {{"epsilon", 0.0F}}, 3);
  ASSERT_TRUE(y.ok()) << y.error().message();
  expect_same(y->at(0), cast(f32({1, 2}, {-1, 1}), DType::f16));
  expect_same(y->at(1), f32({1, 1}, {2}));
  expect_same(y->at(2), f32({1, 1}, {1}));
}

TEST(Reference, AttentionSeesPastKeysAndNotTheFuture) {
  // All scores equal: each query averages the values it may see. One past key, two new ones, causal.
  const Tensor q = f32({1, 1, 2, 1}, {0, 0}), k = f32({1, 1, 2, 1}, {1, 1}), v = f32({1, 1, 2, 1}, {4, 7});
  const Tensor past_k = f32({1, 1, 1, 1}, {1}), past_v = f32({1, 1, 1, 1}, {1});
  const auto y = evaluate_op(Op::Attention, {q, k, v, {}, past_k, past_v}, {{"is_causal", int64_t{1}}}, 3);
  ASSERT_TRUE(y.ok()) << y.error().message();
  expect_same(y->at(0), f32({1, 1, 2, 1}, {2.5F, 4}));
  expect_same(y->at(2), f32({1, 1, 3, 1}, {1, 4, 7}));
}

struct Bad {
  const char* name;
  Op op;
  std::vector<Tensor> inputs;
  ir::Attributes attrs;
};
class HostileTest : public testing::TestWithParam<Bad> {};

TEST_P(HostileTest, IsAnErrorThatNamesTheNode) {
  const auto y = evaluate_op(GetParam().op, GetParam().inputs, GetParam().attrs);
  ASSERT_FALSE(y.ok());
  EXPECT_NE(y.error().code, Code::internal);
  EXPECT_THAT(y.error().subject, HasSubstr(ir::to_string(GetParam().op)));
  EXPECT_FALSE(y.error().expected.empty());
}

const int64_t kHuge = int64_t{1} << 40;
const std::vector<Bad> kBad = {
    {"missing_input", Op::Conv, {f32({1, 1, 3}, {1, 2, 3})}, {}},
    {"integers_where_floats_belong", Op::Exp, {s64({1})}, {}},
    {"types_differ", Op::Add, {f32({1}, {1}), s64({1})}, {}},
    {"shapes_do_not_broadcast", Op::Add, {f32({2}, {1, 2}), f32({3}, {1, 2, 3})}, {}},
    {"integer_division_by_zero", Op::Div, {s64({1}), s64({0})}, {}},
    {"index_beyond", Op::Gather, {f32({2}, {1, 2}), s64({2})}, {}},
    {"index_before", Op::GatherND, {f32({2}, {1, 2}), Tensor::of({1, 1}, Ints{-3})}, {}},
    {"tuple_too_long", Op::ScatterND, {f32({2}, {1, 2}), Tensor::of({1, 2}, Ints{0, 0}), f32({1}, {1})}, {}},
    {"output_too_large", Op::Expand, {f32({1}, {1}), s64({kHuge})}, {}},
    {"output_overflows", Op::ConstantOfShape, {s64({kHuge, kHuge})}, {}},
    {"pads_too_large", Op::Pad, {f32({1}, {1}), s64({0, INT64_MAX})}, {}},
    {"step_zero", Op::Slice, {f32({2}, {1, 2}), s64({0}), s64({1}), s64({0}), s64({0})}, {}},
    {"axis_beyond", Op::Softmax, {f32({2}, {1, 2})}, {{"axis", int64_t{1}}}},
    {"repeated_axes", Op::Transpose, {f32({1, 1}, {1})}, {{"perm", Ints{0, 0}}}},
    {"k_beyond", Op::TopK, {f32({2}, {1, 2}), s64({3})}, {}},
    {"stride_zero", Op::MaxPool, {f32({1, 1, 2}, {1, 2})}, {{"kernel_shape", Ints{1}}, {"strides", Ints{0}}}},
    {"kernel_larger_than_input", Op::MaxPool, {f32({1, 1, 2}, {1, 2})}, {{"kernel_shape", Ints{3}}}},
    {"groups_do_not_divide", Op::Conv, {f32({1, 1, 1}, {1}), f32({1, 1, 1}, {1})}, {{"group", int64_t{0}}}},
    {"scale_is_not_a_number", Op::Resize, {f32({2}, {1, 2}), {}, f32({1}, {NAN})}, {}},
    {"endless_range", Op::Range, {f32({}, {0}), f32({}, {1}), f32({}, {0})}, {}},
    {"label_from_nowhere", Op::Einsum, {f32({2}, {1, 2})}, {{"equation", std::string("i->j")}}},
    {"unknown_activation",
     Op::FusedMatMul,
     {f32({1, 1}, {1}), f32({1, 1}, {1})},
     {{"activation", std::string("tan")}}},
    {"unquantized_integers",
     Op::FusedMatMul,
     {Tensor::of({1, 1}, std::vector<uint8_t>{1}), Tensor::of({1, 1}, std::vector<int8_t>{1})},
     {}},
};
INSTANTIATE_TEST_SUITE_P(All, HostileTest, testing::ValuesIn(kBad), [](const auto& param_info) {
  return std::string(ir::to_string(param_info.param.op)) + "_" + param_info.param.name;
});

}  // namespace
}  // namespace narrow::runtime::reference::testing_ops
