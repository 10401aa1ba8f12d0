#include "passes/quant_view.h"

#include <algorithm>
#include <cmath>

#include "ir/schema.h"

namespace narrow::passes {
namespace {

const Value* integer_side(const Node* node) {
  return node->op() == Op::QuantizeLinear ? node->output() : node->input(0);
}

bool honours_label(const ir::Use& use) {
  if (use.index != 0) return false;
  return use.node->op() == Op::DequantizeLinear || is_maximum(use.node) || is_movement(use.node);
}

void label(Value* value, const Quantization& quant) {
  value->type.quant = std::make_shared<const Quantization>(quant);
}

/// The parameters all DequantizeLinear readers agree on, when there are no other readers.
std::optional<Quantization> agreed_by_readers(const Value* value) {
  std::optional<Quantization> agreed;
  for (const ir::Use& use : value->uses()) {
    if (use.node->op() != Op::DequantizeLinear || use.index != 0) return {};
    const auto own = per_tensor_parameters(use.node);
    if (!own || (agreed && !(*agreed == *own))) return {};
    agreed = own;
  }
  return agreed;
}

}  // namespace

std::optional<Quantization> linear_parameters(const Node* node, ZeroScales allowed) {
  const Value *scale = node->input(1), *zero_point = node->input(2);
  if (!is_float_constant(scale) || node->int_attr("block_size", 0) != 0) return {};
  Quantization quant{.scale = to_floats(scale->constant()), .zero_point = {}, .axis = -1};
  const auto usable = [&](float s) {
    return (s > 0 || (s == 0 && allowed == ZeroScales::allowed)) && std::isfinite(s);
  };
  if (quant.scale.empty() || !std::all_of(quant.scale.begin(), quant.scale.end(), usable)) return {};
  quant.zero_point.assign(quant.scale.size(), 0);
  if (zero_point != nullptr) {
    const auto zeros = int_constant(zero_point);
    if (!zeros || zeros->size() != quant.scale.size()) return {};
    for (size_t i = 0; i < zeros->size(); ++i) quant.zero_point[i] = static_cast<int32_t>((*zeros)[i]);
  }
  if (quant.scale.size() > 1) {
    if (!integer_side(node)->type.ranked) return {};
    quant.axis = normalized_axis(node->int_attr("axis", 1), integer_side(node)->type.rank());
  }
  return quant;
}

std::optional<Quantization> per_tensor_parameters(const Node* node) {
  if (!is_int8(integer_side(node)->type.dtype)) return {};
  auto quant = linear_parameters(node);
  return quant && quant->per_tensor() ? quant : std::nullopt;
}

Result<int64_t> label_quantized(Graph& graph) {
  int64_t labelled = 0;
  for (const Node* node : graph.nodes_of(Op::QuantizeLinear)) {
    Value* out = node->output();
    const auto quant = per_tensor_parameters(node);
    if (!quant || out->type.quant || !std::all_of(out->uses().begin(), out->uses().end(), honours_label))
      continue;
    label(out, *quant);
    ++labelled;
  }
  for (Value* input : graph.inputs()) {
    if (!is_int8(input->type.dtype) || input->type.quant || graph.is_graph_output(input)) continue;
    if (const auto quant = agreed_by_readers(input)) {
      label(input, *quant);
      ++labelled;
    }
  }
  if (labelled > 0) NARROW_DO(ir::infer_types(graph));  // movements hand the label on
  return labelled;
}

bool is_maximum(const Node* node) {
  return (node->op() == Op::MaxPool || node->op() == Op::GlobalMaxPool) && node->outputs().size() == 1;
}

bool is_movement(const Node* node) {
  switch (node->op()) {
    case Op::Reshape:
    case Op::Transpose:
    case Op::Flatten:
    case Op::Squeeze:
    case Op::Unsqueeze:
    case Op::Slice:
    case Op::Gather:
    case Op::GatherElements:
    case Op::GatherND:
    case Op::Split:
    case Op::DepthToSpace:
    case Op::SpaceToDepth:
    case Op::Expand:
    case Op::Tile:
    case Op::Identity:
      return true;
    default:
      return false;
  }
}

int format_free_inputs(const Node* node) {
  switch (node->op()) {
    case Op::Relu:
    case Op::Clip:
    case Op::LeakyRelu:
    case Op::Elu:
    case Op::Sigmoid:
    case Op::HardSigmoid:
    case Op::HardSwish:
    case Op::Swish:
    case Op::Mish:
    case Op::Tanh:
    case Op::Gelu:
    case Op::Softplus:
    case Op::Softsign:
    case Op::Exp:
    case Op::Sqrt:
    case Op::Reciprocal:
    case Op::Abs:
    case Op::Neg:
    case Op::Erf:
    case Op::AveragePool:
    case Op::GlobalAveragePool:
    case Op::Softmax:
    case Op::LogSoftmax:
    case Op::LayerNormalization:
    case Op::RMSNormalization:
    case Op::InstanceNormalization:
    case Op::GroupNormalization:
    case Op::LRN:
      return node->outputs().size() == 1 ? 1 : 0;
    case Op::Attention:
      return node->outputs().size() == 1 ? 3 : 0;
    case Op::Add:
    case Op::Sub:
    case Op::Mul:
    case Op::Div:
    case Op::Min:
    case Op::Max:
    case Op::PRelu:
      return node->inputs().size() == 2 ? 2 : 0;
    case Op::Concat:
      return -1;
    default:
      return 0;
  }
}

Node* dequantize_behind(const Value* value) {
  Node* node = producer_of(value, Op::DequantizeLinear);
  const auto quant = node != nullptr ? per_tensor_parameters(node) : std::nullopt;
  if (!quant) return nullptr;
  const Value* q = node->input(0);
  if (q->is_constant()) return node;
  return q->type.quant && *q->type.quant == *quant ? node : nullptr;
}

Value* labelled_operand(Graph& graph, const Node* dequantize) {
  Value* q = dequantize->input(0);
  if (!q->is_constant() || q->type.quant) return q;
  Value* constant = graph.add_constant(q->name, q->constant());
  label(constant, *per_tensor_parameters(dequantize));
  return constant;
}

}  // namespace narrow::passes
