// Ops with answers small enough to work out by hand; the node cases of the onnx package cover the rest.
#include <gtest/gtest.h>

#include "runtime/reference/op_case.h"

namespace narrow::runtime::reference::testing_ops {
namespace {

using Bools = std::vector<uint8_t>;

Tensor bools(Shape shape, const Bools& values) {
  return cast(Tensor::of(std::move(shape), values), DType::boolean);
}

class NewerOpTest : public OpTest {};

TEST_P(NewerOpTest, GivesTheExpectedAnswer) {
  const OpCase& c = GetParam();
  const auto outputs = evaluate_op(c.op, c.inputs, c.attrs);
  ASSERT_TRUE(outputs.ok()) << outputs.error().message();
  expect_same(outputs.value()[0], c.expected);
}

INSTANTIATE_TEST_SUITE_P(
    All, NewerOpTest,
    testing::Values(
        OpCase{"left",
               ir::Op::BitShift,
               {s64({1, 3}), s64({2, 70})},
               {{"direction", std::string("LEFT")}},
               s64({4, 0})},
        OpCase{"sign",
               ir::Op::BitShift,
               {s64({-8}), s64({1})},
               {{"direction", std::string("RIGHT")}},
               s64({-4})},
        OpCase{"ints", ir::Op::BitwiseXor, {s64({5}), s64({3})}, {}, s64({6})},
        OpCase{"ints", ir::Op::BitwiseNot, {s64({0})}, {}, s64({-1})},
        OpCase{"reverse",
               ir::Op::CumProd,
               {s64({2, 3, 4}), Tensor::scalar<int64_t>(0)},
               {{"reverse", int64_t{1}}},
               s64({24, 12, 4})},
        OpCase{"first", ir::Op::Hardmax, {f32({3}, {1, 2, 2})}, {}, f32({3}, {0, 1, 0})},
        OpCase{"matrix",
               ir::Op::NonZero,
               {f32({2, 2}, {1, 0, 0, 2})},
               {},
               Tensor::of<int64_t>({2, 2}, Ints{0, 1, 0, 1})},
        OpCase{"rows",
               ir::Op::Compress,
               {f32({2, 2}, {1, 2, 3, 4}), bools({2}, {0, 1})},
               {{"axis", int64_t{0}}},
               f32({1, 2}, {3, 4})},
        OpCase{
            "unsorted", ir::Op::Unique, {f32({4}, {2, 1, 1, 2})}, {{"sorted", int64_t{0}}}, f32({2}, {2, 1})},
        OpCase{"pad", ir::Op::CenterCropPad, {f32({2}, {1, 2}), s64({5})}, {}, f32({5}, {0, 1, 2, 0, 0})},
        OpCase{"triangle", ir::Op::Det, {f32({2, 2}, {2, 5, 0, 3})}, {}, Tensor::scalar(6.0F)},
        OpCase{"impulse", ir::Op::DFT, {f32({1, 2, 1}, {1, 0})}, {}, f32({1, 2, 2}, {1, 0, 1, 0})},
        OpCase{"mean",
               ir::Op::NegativeLogLikelihoodLoss,
               {f32({2, 2}, {-1, -2, -3, -4}), s64({0, 1})},
               {},
               Tensor::scalar(2.5F)},
        OpCase{"ignored",
               ir::Op::NegativeLogLikelihoodLoss,
               {f32({2, 2}, {-1, -2, -3, -4}), s64({0, 7})},
               {{"ignore_index", int64_t{7}}},
               Tensor::scalar(1.0F)},
        OpCase{"overlap",
               ir::Op::NonMaxSuppression,
               {f32({1, 2, 4}, {0, 0, 1, 1, 0, 0, 1, 0.9F}), f32({1, 1, 2}, {0.5F, 0.9F}),
                Tensor::scalar<int64_t>(2), Tensor::scalar(0.5F)},
               {},
               Tensor::of<int64_t>({1, 3}, Ints{0, 0, 1})},
        // h = tanh(x * 0) with W = 0 stays 0; an identity activation shows the sums: h1 = 1, h2 = 1 + 2
        OpCase{"sum",
               ir::Op::RNN,
               {f32({2, 1, 1}, {1, 2}), f32({1, 1, 1}, {1}), f32({1, 1, 1}, {1})},
               {{"activations", std::vector<std::string>{"Affine"}}},
               f32({2, 1, 1, 1}, {1, 3})},
        // codes 9, 8, 8, ...: (9 - 8) * 0.5 on the first of 16
        OpCase{"int4",
               ir::Op::MatMulNBits,
               {f32({1, 16}, Floats(16, 3)),
                Tensor::of<uint8_t>({1, 1, 8}, Bools{0x89, 0x88, 0x88, 0x88, 0x88, 0x88, 0x88, 0x88}),
                f32({1}, {0.5F})},
               {{"K", int64_t{16}}, {"N", int64_t{1}}, {"bits", int64_t{4}}, {"block_size", int64_t{16}}},
               f32({1, 1}, {1.5F})}),
    case_name);

TEST(NewerOps, RefuseWhatDoesNotFit) {
  EXPECT_FALSE(evaluate_op(ir::Op::Compress, {f32({1}, {1}), bools({2}, {0, 1})}).ok());
  EXPECT_FALSE(evaluate_op(ir::Op::NegativeLogLikelihoodLoss, {f32({1, 2}, {0, 0}), s64({2})}).ok());
  EXPECT_FALSE(evaluate_op(ir::Op::If, {bools({}, {1})}).ok());
  EXPECT_FALSE(evaluate_op(ir::Op::HannWindow, {Tensor::scalar<int64_t>(-1)}).ok());
  EXPECT_FALSE(
      evaluate_op(ir::Op::Col2Im, {f32({1, 4, 1}, {1, 1, 1, 1}), s64({int64_t{1} << 40, 2}), s64({2, 2})})
          .ok());
}

/// body: i, go, sum -> go, sum + sum, sum
TEST(NewerOps, LoopCarriesAndStacks) {
  auto body = std::make_shared<ir::Graph>();
  body->add_input("i", ir::TensorType::unranked(DType::s64));
  ir::Value* go = body->add_input("go", ir::TensorType::unranked(DType::boolean));
  ir::Value* sum = body->add_input("sum", ir::TensorType::unranked(DType::f32));
  ir::Node* twice = body->add_node(ir::Op::Add, {sum, sum}, {"twice"});
  body->add_output("go", go);
  body->add_output("twice", twice->output());
  body->add_output("sum", sum);
  const auto outputs = evaluate_op(ir::Op::Loop, {Tensor::scalar<int64_t>(3), Tensor(), f32({1}, {1})},
                                   {{"body", body}, {"captures", int64_t{0}}}, 2);
  ASSERT_TRUE(outputs.ok()) << outputs.error().message();
  expect_same(outputs.value()[0], f32({1}, {8}));
  expect_same(outputs.value()[1], f32({3, 1}, {1, 2, 4}));
}

}  // namespace
}  // namespace narrow::runtime::reference::testing_ops
