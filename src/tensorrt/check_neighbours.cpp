#include <algorithm>

#include "tensorrt/context.h"

namespace narrow::tensorrt {
namespace {

using ir::Op;

bool is_other_quantized_op(Op op) {
  switch (op) {
    case Op::DynamicQuantizeLinear:
    case Op::QLinearConv:
    case Op::QLinearMatMul:
    case Op::ConvInteger:
    case Op::MatMulInteger:
    case Op::QLinearAdd:
    case Op::QLinearMul:
    case Op::QLinearConcat:
    case Op::QLinearGlobalAveragePool:
    case Op::QLinearAveragePool:
    case Op::QLinearSigmoid:
    case Op::QLinearLeakyRelu:
    case Op::QLinearSoftmax:
    case Op::QGemm:
    case Op::MatMulNBits:
      return true;
    default:
      return false;
  }
}

void check_readers(Context& context, const ir::Node& quantize) {
  for (const ir::Use& use : quantize.output()->uses())
    if (use.node->op() != Op::DequantizeLinear || use.index != 0)
      context.report(quantize, "pair", "DequantizeLinear as the only reader", use.node->location(),
                     "put a DequantizeLinear behind it and compute on what that gives");
}

void check_maker(Context& context, const ir::Node& dequantize) {
  const ir::Node* maker = dequantize.input(0)->producer();
  if (maker != nullptr && maker->op() != Op::QuantizeLinear && !is_other_quantized_op(maker->op()))
    context.report(dequantize, "pair", "integers of a QuantizeLinear or a constant", maker->location(),
                   "dequantize before it and quantize behind it");
}

/// The DequantizeLinear that made `value`, through a Transpose.
const ir::Node* dequantize_behind(const ir::Value* value) {
  const ir::Node* maker = value == nullptr ? nullptr : value->producer();
  while (maker != nullptr && maker->op() == Op::Transpose) maker = maker->input(0)->producer();
  return maker != nullptr && maker->op() == Op::DequantizeLinear ? maker : nullptr;
}

void check_operands(Context& context, const ir::Node& product) {
  const ir::Node* weights = dequantize_behind(product.input(1));
  if (weights != nullptr && !is_weight(*weights->input(0)))
    context.report(product, "weight-constant", "quantized weights that are constants",
                   "what " + weights->location() + " computes", "keep these weights in a float type");
  if (const ir::Node* bias = dequantize_behind(product.input(2)))
    context.report(product, "float-bias", "a float bias",
                   std::string(to_string(bias->input(0)->type.dtype)) + " behind " + bias->location(),
                   "store the bias in FP32");
}

/// Every number in `value` is a size: Shape or Size made it, alone or with constants.
bool is_computed_size(const ir::Value& value, int depth = 0) {
  constexpr int kDeepest = 64;  // longer chains of sizes are not met, and the walk must end
  const ir::Node* node = value.producer();
  if (node == nullptr || depth > kDeepest) return false;
  switch (node->op()) {
    case Op::Shape:
    case Op::Size:
      return true;
    case Op::Cast:
    case Op::Gather:
    case Op::Slice:
    case Op::Squeeze:
    case Op::Unsqueeze:
    case Op::Reshape:
    case Op::Floor:
      return is_computed_size(*node->input(0), depth + 1);
    case Op::Concat:
    case Op::Add:
    case Op::Sub:
    case Op::Mul:
    case Op::Div: {
      bool any = false;
      for (const ir::Value* input : node->inputs()) {
        const bool size = input != nullptr && is_computed_size(*input, depth + 1);
        if (!size && (input == nullptr || !input->is_constant())) return false;
        any |= size;
      }
      return any;
    }
    default:
      return false;
  }
}

}  // namespace

void check_neighbours(Context& context, const ir::Node& node) {
  const Op op = node.op();
  if (is_other_quantized_op(op))
    context.report(node, "format", "QuantizeLinear and DequantizeLinear around float operators",
                   ir::to_string(op), "quantize the FP32 model again, in Q/DQ form");
  if (op == Op::QuantizeLinear) {
    check_readers(context, node);
    if (is_computed_size(*node.input(0)))
      context.report(node, "shape", "data of the network", "sizes computed from Shape",
                     "leave sizes as integers");
  }
  if (op == Op::DequantizeLinear) check_maker(context, node);
  if (op == Op::Conv || op == Op::ConvTranspose || op == Op::Gemm) check_operands(context, node);
}

}  // namespace narrow::tensorrt
