// Values that carry a Quantization: integers move untouched, other ops compute on what they stand for, fused
// products follow kernels/requantize.h.
#include "kernels/requantize.h"
#include "runtime/reference/op_case.h"

namespace narrow::runtime::reference::testing_ops {
namespace {

using ir::Op;

std::shared_ptr<const Quantization> quant(float scale, int32_t zero) {
  return std::make_shared<Quantization>(Quantization{{scale}, {zero}, -1});
}
ir::TensorType quantized(DType type, Shape shape, std::shared_ptr<const Quantization> q) {
  ir::TensorType t = ir::TensorType::of(type, shape);
  t.quant = std::move(q);
  return t;
}

struct Graph {
  ir::Graph graph;
  std::vector<const Tensor*> tensors;
  std::vector<ir::Value*> values;
  void add(const Tensor& t, std::shared_ptr<const Quantization> q) {
    values.push_back(graph.add_input("x", quantized(t.dtype(), t.shape(), std::move(q))));
    tensors.push_back(&t);
  }
  Result<std::vector<Tensor>> run(Op op, ir::TensorType out, const ir::Attributes& attrs = {}) {
    ir::Node* node = graph.add_node(op, values, {"y"}, attrs);
    node->output()->type = std::move(out);
    return evaluate(*node, tensors);
  }
};

Tensor u8(Shape shape, const std::vector<uint8_t>& v) { return Tensor::of(std::move(shape), v); }

TEST(QuantizedValues, AddComputesOnRealNumbers) {
  Graph g;
  const Tensor a = u8({3}, {10, 128, 255}), b = u8({3}, {0, 128, 255});
  g.add(a, quant(0.5F, 128));   // -59, 0, 63.5
  g.add(b, quant(0.25F, 128));  // -32, 0, 31.75
  const auto y = g.run(Op::Add, quantized(DType::u8, {3}, quant(1.0F, 100)));
  ASSERT_TRUE(y.ok()) << y.error().message();
  expect_same(y->at(0), u8({3}, {9, 100, 195}));  // -91, 0, 95.25
}

TEST(QuantizedValues, MaxPoolAndConcatKeepIntegersOfOneQuantization) {
  Graph pool;
  const Tensor x = u8({1, 1, 4}, {3, 9, 250, 1});
  pool.add(x, quant(0.1F, 7));
  auto y = pool.run(Op::MaxPool, quantized(DType::u8, {1, 1, 2}, quant(0.1F, 7)),
                    {{"kernel_shape", Ints{2}}, {"strides", Ints{2}}});
  ASSERT_TRUE(y.ok()) << y.error().message();
  expect_same(y->at(0), u8({1, 1, 2}, {9, 250}));

  Graph concat;  // the second part has another scale: it is requantized, the first comes out as it went in
  const Tensor a = u8({2}, {0, 255}), b = u8({1}, {20});
  concat.add(a, quant(0.1F, 0));
  concat.add(b, quant(0.2F, 10));
  y = concat.run(Op::Concat, quantized(DType::u8, {3}, quant(0.1F, 0)), {{"axis", int64_t{0}}});
  ASSERT_TRUE(y.ok()) << y.error().message();
  expect_same(y->at(0), u8({3}, {0, 255, 20}));
}

TEST(QuantizedValues, OutDtypeSaysWhatIsStored) {
  Graph g;
  const Tensor a = u8({2}, {1, 3});
  g.add(a, quant(0.5F, 1));
  const auto y = g.run(Op::Relu, ir::TensorType{}, {{"out_dtype", std::string("bf16")}});
  ASSERT_TRUE(y.ok()) << y.error().message();
  expect_same(y->at(0), cast(f32({2}, {0, 1}), DType::bf16));
}

/// A 1x1 convolution over two pixels, channels last and first, per-channel weights, bias, residual, ReLU.
class FusedConvOnIntegers : public testing::TestWithParam<bool> {};

TEST_P(FusedConvOnIntegers, FollowsTheRequantizationContract) {
  const bool last = GetParam();
  const Tensor x = u8(last ? Shape{1, 1, 2, 2} : Shape{1, 2, 1, 2},
                      last ? std::vector<uint8_t>{1, 2, 3, 4} : std::vector<uint8_t>{1, 3, 2, 4});
  const Tensor w = Tensor::of({2, 2, 1, 1}, std::vector<int8_t>{10, -20, 5, 100});
  const Tensor bias = Tensor::of({2}, std::vector<int32_t>{7, -9});
  const Tensor r = u8(last ? Shape{1, 1, 2, 2} : Shape{1, 2, 1, 2},
                      last ? std::vector<uint8_t>{50, 60, 70, 80} : std::vector<uint8_t>{50, 70, 60, 80});
  Graph g;
  g.add(x, quant(0.5F, 1));
  g.add(w, std::make_shared<Quantization>(Quantization{{0.1F, 0.3F}, {0, 0}, 0}));
  g.add(bias, nullptr);
  g.add(r, quant(0.25F, 40));
  const auto y = g.run(Op::FusedConv, quantized(DType::u8, r.shape(), quant(0.75F, 3)),
                       {{"channels_last", int64_t{last}}, {"activation", std::string("relu")}});
  ASSERT_TRUE(y.ok()) << y.error().message();
  std::vector<uint8_t> expected;
  const int32_t pixels[2][2] = {{0, 1}, {2, 3}}, weights[2][2] = {{10, -20}, {5, 100}}, biases[2] = {7, -9},
                residual[2][2] = {{10, 20}, {30, 40}};
  const float scales[2] = {0.1F, 0.3F};
  for (int p = 0; p < 2; ++p)
    for (int o = 0; o < 2; ++o) {
      const int32_t acc = biases[o] + pixels[p][0] * weights[o][0] + pixels[p][1] * weights[o][1];
      float real = static_cast<float>(acc) * (0.5F * scales[o]);
      real = std::max(0.0F, std::fma(static_cast<float>(residual[p][o]), 0.25F, real));
      expected.push_back(static_cast<uint8_t>(kernels::requantize_real(real, 0.75F, 3, 3, 255)));
    }
  if (!last) std::swap(expected[1], expected[2]);
  expect_same(y->at(0), u8(r.shape(), expected));
}
INSTANTIATE_TEST_SUITE_P(Layouts, FusedConvOnIntegers, testing::Bool(),
                         [](const auto& param_info) { return param_info.param ? "last" : "first"; });

TEST(FusedMatMul, IsMatMulPlusBiasPlusResidualOnFloats) {
  const Tensor a = f32({2, 1, 2}, {1, 2, 3, 4}), b = f32({2, 2}, {1, 3, 2, 4}), bias = f32({2}, {100, 200});
  const Tensor r = f32({2, 1, 2}, {-1000, 1, 2, 3});
  const auto y = evaluate_op(Op::FusedMatMul, {a, b, bias, r},
                             {{"transB", int64_t{1}}, {"activation", std::string("relu")}});
  ASSERT_TRUE(y.ok()) << y.error().message();
  // A B' = [1*1+2*3, 1*2+2*4] = [7, 10] and [15, 22]
  expect_same(y->at(0), f32({2, 1, 2}, {0, 211, 117, 225}));
}

}  // namespace
}  // namespace narrow::runtime::reference::testing_ops
