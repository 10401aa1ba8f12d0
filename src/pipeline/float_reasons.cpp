#include "pipeline/float_reasons.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "ir/schema.h"
#include "passes/lower_products.h"
#include "passes/quant_view.h"
#include "quant/wide.h"

namespace narrow::pipeline {
namespace {

using ir::Node;
using ir::Op;
using ir::Value;
using Reason = std::optional<std::string>;

bool is_product(const Node& node) {
  return node.op() == Op::Conv || node.op() == Op::ConvTranspose || node.op() == Op::MatMul ||
         node.op() == Op::Gemm;
}

/// The DequantizeLinear behind `value`, through what only moves elements.
const Node* dequantize_of(const Value* value) {
  const Node* node = value == nullptr ? nullptr : value->producer();
  while (node != nullptr && node->op() != Op::Concat && moves_elements(*node))
    node = node->input(0)->producer();
  return node != nullptr && node->op() == Op::DequantizeLinear ? node : nullptr;
}

/// All operands are dequantized alike: integers are put beside each other.
bool is_even_concat(const Node& node) {
  std::optional<Quantization> first;
  for (const Value* input : node.inputs()) {
    const Node* dequantize = dequantize_of(input);
    const auto quant = dequantize == nullptr ? std::nullopt : passes::per_tensor_parameters(dequantize);
    if (!quant || (first && !(*first == *quant))) return false;
    first = quant;
  }
  return true;
}

std::string quoted(const Node& node) {
  return fmt::format("{} '{}'", ir::to_string(node.op()), quant::name_of(node));
}

/// What is wrong with the codes and parameters of one DequantizeLinear, whoever reads it.
Reason own_reason(const Node& dequantize, bool is_data) {
  const DType codes = dequantize.input(0)->type.dtype;
  if (!is_int8(codes))
    return fmt::format("its codes are {}, integer operators read u8 and s8", to_string(codes));
  if (dequantize.int_attr("block_size", 0) != 0) return "its scales belong to blocks";
  if (!dequantize.input(1)->is_constant()) return "its scale is computed at run time";
  if (dequantize.input(2) != nullptr && !dequantize.input(2)->is_constant())
    return "its zero point is computed at run time";
  if (is_data && dequantize.input(1)->constant().elements() != 1)
    return "it has one scale per channel, integer operators read data of one scale";
  const auto scales = to_floats(dequantize.input(1)->constant());
  if (is_data && !(scales[0] > 0 && std::isfinite(scales[0]))) return "its scale is not a positive number";
  return {};
}

std::string about(const Node& dequantize, const char* what, const std::string& reason) {
  return fmt::format("{} '{}': {}", what, quant::name_of(dequantize), reason);
}

/// The axis of the stored weights that is the product's result channel, or nothing where they were reshaped.
std::optional<int64_t> stored_channel_axis(const Node& product) {
  const Value* value = product.input(1);
  const bool first = product.op() == Op::Conv || product.int_attr("transB", 0) != 0;
  int64_t axis = first ? 0 : value->type.rank() - 1;
  for (const Node* node = value->producer(); node->op() != Op::DequantizeLinear;
       node = node->input(0)->producer()) {
    if (node->op() == Op::Identity) continue;
    const auto perm = node->ints_attr("perm");
    if (node->op() != Op::Transpose || axis >= std::ssize(perm)) return {};
    axis = perm[static_cast<size_t>(axis)];
  }
  return axis;
}

/// Weights have zero point 0 (u8: 128) and scales along the result channel.
Reason weights_reason(const Node& product, const Node& weights) {
  if (!weights.input(0)->is_constant())
    return fmt::format("its second operand is computed ('{}'), integer products have constant weights",
                       quant::name_of(weights));
  if (const Reason own = own_reason(weights, false)) return about(weights, "its weights", *own);
  const int64_t centre = weights.input(0)->type.dtype == DType::u8 ? 128 : 0;
  std::vector<int64_t> zeros{0};
  if (weights.input(2) != nullptr) zeros = passes::int_constant(weights.input(2)).value_or(zeros);
  for (const int64_t zero : zeros)
    if (zero != centre)
      return about(weights, "its weights",
                   fmt::format("zero point {}, integer products take {}", zero, centre));
  if (product.op() == Op::ConvTranspose) return "ConvTranspose has no integer form with weights in integers";
  const auto quant = passes::linear_parameters(&weights, passes::ZeroScales::allowed);
  if (!quant) return about(weights, "its weights", "a scale that is not a positive number");
  const auto axis = stored_channel_axis(product);
  if (!quant->per_tensor() && axis && quant->axis != *axis)
    return about(weights, "its weights",
                 fmt::format("scales along axis {}, its result channels lie along {}", quant->axis, *axis));
  return {};
}

Reason product_reason(const Node& product) {
  const Node *x = dequantize_of(product.input(0)), *w = dequantize_of(product.input(1));
  if (x == nullptr) return "its data are not quantized";
  if (w == nullptr) return "its weights are not quantized";
  if (const Reason own = own_reason(*x, true)) return about(*x, "its data", *own);
  if (Reason weights = weights_reason(product, *w)) return weights;
  const Value* bias = product.op() == Op::MatMul ? nullptr : product.input(2);
  if (bias == nullptr) return {};
  const Node* stored = dequantize_of(bias);
  if (!bias->is_constant() && (stored == nullptr || !stored->input(0)->is_constant()))
    return "its bias is computed at run time";
  return {};
}

/// Empty: nothing keeps this reader from the integers.
Reason reader_reason(const Node& reader, const Node& dequantize) {
  if (is_product(reader)) return product_reason(reader);
  if (reader.op() == Op::QuantizeLinear) return {};
  if (Reason own = own_reason(dequantize, true)) return own;
  if (reader.op() == Op::Concat) return "its inputs have scales of their own and its result is not quantized";
  if (passes::format_free_inputs(&reader) != 0) return {};
  return fmt::format("{} has no integer form", ir::to_string(reader.op()));
}

/// The use is one that only moves the elements of the value.
bool hands_on(const ir::Use& use) {
  return (use.index == 0 || use.node->op() == Op::Concat) && moves_elements(*use.node);
}

void visit(const Value* value, const Node& dequantize, std::vector<FloatReader>& explained,
           std::vector<const Node*>& others) {
  for (const ir::Use& use : value->uses()) {
    if (hands_on(use)) {
      for (const Value* moved : use.node->outputs()) visit(moved, dequantize, explained, others);
      continue;
    }
    if (Reason reason = reader_reason(*use.node, dequantize))
      explained.push_back({use.node, std::move(*reason)});
    else
      others.push_back(use.node);
  }
}

}  // namespace

bool moves_elements(const Node& node) {
  switch (node.op()) {
    case Op::Concat:
      return is_even_concat(node);
    case Op::Pad:
      return node.string_attr("mode", "constant") != "constant" || node.input(2) == nullptr ||
             passes::scalar_constant(node.input(2)) == 0.0;
    case Op::Resize:
      return node.string_attr("mode", "nearest") == "nearest";
    default:
      return passes::is_movement(&node) || passes::is_maximum(&node);
  }
}

std::vector<FloatReader> float_readers(const Node& dequantize) {
  std::vector<FloatReader> explained;
  std::vector<const Node*> others;
  visit(dequantize.output(), dequantize, explained, others);
  if (!explained.empty()) return explained;
  for (const Node* reader : others)
    explained.push_back(
        {reader,
         is_product(*reader)
             ? fmt::format("no integer kernel for {} with this bias and these shapes", quoted(*reader))
             : fmt::format("{} stays in FP32 here", quoted(*reader)),
         false});
  return explained;
}

}  // namespace narrow::pipeline
