#include "quant/gradient/rule.h"

#include <map>

namespace narrow::quant::gradient {

using ir::Op;

Error no_rule(const ir::Node& node, std::string expected, std::string got) {
  return {.code = Code::unsupported,
          .subject = node.location(),
          .expected = std::move(expected),
          .got = std::move(got),
          .hint = "this part of the network can be reconstructed layer by layer only"};
}

MakeRule find_rule(Op op) {
  static const std::map<Op, MakeRule> table = {
      {Op::FusedConv, conv_rule},
      {Op::FusedMatMul, constant_matmul_rule},
      {Op::MatMul, matmul_rule},
      {Op::Add, sum_rule},
      {Op::Sub, sum_rule},
      {Op::Sum, sum_rule},
      {Op::Mean, sum_rule},
      {Op::Mul, mul_rule},
      {Op::Div, div_rule},
      {Op::Pow, pow_rule},
      {Op::Min, extremum_rule},
      {Op::Max, extremum_rule},
      {Op::PRelu, prelu_rule},
      {Op::Where, where_rule},
      {Op::Relu, unary_rule},
      {Op::LeakyRelu, unary_rule},
      {Op::Clip, unary_rule},
      {Op::Elu, unary_rule},
      {Op::Sigmoid, unary_rule},
      {Op::HardSigmoid, unary_rule},
      {Op::HardSwish, unary_rule},
      {Op::Swish, unary_rule},
      {Op::Mish, unary_rule},
      {Op::Tanh, unary_rule},
      {Op::Gelu, unary_rule},
      {Op::Softplus, unary_rule},
      {Op::Softsign, unary_rule},
      {Op::Exp, unary_rule},
      {Op::Log, unary_rule},
      {Op::Sqrt, unary_rule},
      {Op::Reciprocal, unary_rule},
      {Op::Abs, unary_rule},
      {Op::Neg, unary_rule},
      {Op::Erf, unary_rule},
      {Op::Sin, unary_rule},
      {Op::Cos, unary_rule},
      {Op::Softmax, softmax_rule},
      {Op::LogSoftmax, softmax_rule},
      {Op::ReduceMean, reduce_rule},
      {Op::ReduceSum, reduce_rule},
      {Op::ReduceSumSquare, reduce_rule},
      {Op::ReduceL2, reduce_rule},
      {Op::LayerNormalization, norm_rule},
      {Op::RMSNormalization, norm_rule},
      {Op::MaxPool, pool_rule},
      {Op::AveragePool, pool_rule},
      {Op::GlobalAveragePool, pool_rule},
      {Op::GlobalMaxPool, pool_rule},
      {Op::Identity, copy_rule},
      {Op::Dropout, copy_rule},
      {Op::Reshape, copy_rule},
      {Op::Flatten, copy_rule},
      {Op::Squeeze, copy_rule},
      {Op::Unsqueeze, copy_rule},
      {Op::Transpose, transpose_rule},
      {Op::Concat, movement_rule},
      {Op::Split, movement_rule},
      {Op::Slice, movement_rule},
      {Op::Gather, movement_rule},
      {Op::Expand, movement_rule},
      {Op::Tile, movement_rule},
      {Op::Pad, movement_rule},
      {Op::Resize, movement_rule},
      {Op::DepthToSpace, movement_rule},
      {Op::SpaceToDepth, movement_rule},
      {Op::QuantizeLinear, quantize_rule},
      {Op::DequantizeLinear, dequantize_rule},
  };
  const auto it = table.find(op);
  return it == table.end() ? nullptr : it->second;
}

}  // namespace narrow::quant::gradient
