#include "passes/layout_rules.h"

#include <algorithm>
#include <cstring>

#include "passes/quant_view.h"

namespace narrow::passes {
namespace {

int64_t axis_in_last(int64_t axis) {
  return inverse_perm(kToLast).at(static_cast<size_t>(normalized_axis(axis, 4)));
}

bool is_unary(Op op) {
  switch (op) {
    case Op::Relu:
    case Op::LeakyRelu:
    case Op::Clip:
    case Op::Elu:
    case Op::Selu:
    case Op::Celu:
    case Op::ThresholdedRelu:
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
    case Op::Log:
    case Op::Sqrt:
    case Op::Reciprocal:
    case Op::Abs:
    case Op::Neg:
    case Op::Sign:
    case Op::Floor:
    case Op::Ceil:
    case Op::Round:
    case Op::Erf:
    case Op::Not:
    case Op::Identity:
    case Op::Cast:
      return true;
    default:
      return false;
  }
}

bool is_broadcasting(Op op) {
  switch (op) {
    case Op::Add:
    case Op::Sub:
    case Op::Mul:
    case Op::Div:
    case Op::Pow:
    case Op::Min:
    case Op::Max:
    case Op::Sum:
    case Op::Mean:
    case Op::PRelu:
    case Op::Where:
    case Op::Equal:
    case Op::Greater:
    case Op::GreaterOrEqual:
    case Op::Less:
    case Op::LessOrEqual:
    case Op::And:
    case Op::Or:
      return true;
    default:
      return false;
  }
}

bool is_reduction(Op op) {
  return op == Op::ReduceMean || op == Op::ReduceSum || op == Op::ReduceMax || op == Op::ReduceMin ||
         op == Op::ReduceL2 || op == Op::ReduceSumSquare;
}

bool is_single(const Value* value) {
  return value->type.is_static() && elements_of(value->type.shape()) == 1;
}

bool broadcasts_in_both_layouts(const Node* node) {
  return std::all_of(node->inputs().begin(), node->inputs().end(), [](const Value* v) {
    return v != nullptr && (is_image(v) || is_single(v) || (v->is_constant() && v->constant().rank() <= 4));
  });
}

bool is_per_tensor(const Node* node) {
  return is_single(node->input(1)) && (node->input(2) == nullptr || is_single(node->input(2))) &&
         node->int_attr("block_size", 0) == 0;
}

bool is_constant_or_absent(const Value* value) { return value == nullptr || value->is_constant(); }

bool has_constant_bounds(const Node* node) {
  for (int i = 1; i < 5; ++i)
    if (!is_constant_or_absent(node->input(i))) return false;
  return node->input(1) != nullptr && node->input(2) != nullptr;
}

/// Over the same axes in both layouts: all kept, or exactly the two spatial ones dropped.
bool reduces_in_both_layouts(const Node* node) {
  if (!is_constant_or_absent(node->input(1))) return false;
  const auto axes = axes_input(node, 1, 4);
  return node->int_attr("keepdims", 1) == 1 || (axes && *axes == std::vector<int64_t>{2, 3});
}

// ---------------------------------------------------------------- remapping

/// Four numbers in the order of the axes.
void permute_list(Graph& graph, Node* node, int i) {
  Value* list = node->input(i);
  if (list == nullptr || list->constant().elements() != 4) return;
  Tensor last = list->constant().clone();
  const auto size = static_cast<size_t>(bytes_of(last.dtype()));
  for (size_t k = 0; k < 4; ++k)
    std::memcpy(
        static_cast<std::byte*>(last.mutable_raw()) + k * size,
        static_cast<const std::byte*>(list->constant().raw()) + static_cast<size_t>(kToLast[k]) * size, size);
  graph.set_input(node, i, graph.add_constant(list->name, std::move(last)));
}

void remap_axes(Graph& graph, Node* node, int i) {
  const auto axes = int_constant(node->input(i));
  if (!axes) return;
  std::vector<int64_t> mapped;
  for (const int64_t axis : *axes) mapped.push_back(axis_in_last(axis));
  graph.set_input(node, i, add_ints(graph, node->input(i)->name, mapped));
}

/// Slice without axes cuts the first ones in order: they must be named to be renamed.
void remap_slice(Graph& graph, Node* node) {
  if (node->input(3) == nullptr) {
    std::vector<int64_t> axes;
    for (int64_t i = 0; i < node->input(1)->constant().elements(); ++i) axes.push_back(i);
    graph.set_input(node, 3, add_ints(graph, node->output()->name + "_axes", axes));
  }
  remap_axes(graph, node, 3);
}

void remap_pads(Graph& graph, Node* node) {
  const auto pads = *int_constant(node->input(1));
  std::vector<int64_t> mapped;
  for (const size_t half : {0U, 4U})
    for (const int64_t axis : kToLast) mapped.push_back(pads.at(half + static_cast<size_t>(axis)));
  graph.set_input(node, 1, add_ints(graph, node->input(1)->name, mapped));
}

}  // namespace

bool is_image(const Value* value) {
  return value != nullptr && value->type.is_static() && value->type.rank() == 4;
}

bool wants_channels_last(const Node* node) {
  if (node->int_attr("channels_last", 0) != 0 || !is_image(node->input(0)) || !is_image(node->output()))
    return false;
  switch (node->op()) {
    case Op::FusedConv:
    case Op::ConvTranspose:
    case Op::AveragePool:
    case Op::GlobalAveragePool:
    case Op::GlobalMaxPool:
    case Op::DepthToSpace:
    case Op::SpaceToDepth:
    case Op::LRN:
    case Op::InstanceNormalization:
    case Op::GroupNormalization:
      return true;
    case Op::MaxPool:
      return node->outputs().size() == 1 && node->int_attr("storage_order", 0) == 0;
    case Op::Resize: {
      const bool no_region = node->input(1) == nullptr ||
                             (node->input(1)->is_constant() && node->input(1)->constant().elements() == 0);
      return no_region && !node->has("axes") && is_constant_or_absent(node->input(2)) &&
             is_constant_or_absent(node->input(3));
    }
    default:
      return false;
  }
}

bool can_join(const Node* node) {
  if (node->outputs().empty() || !is_image(node->output())) {
    return !node->outputs().empty() && is_reduction(node->op()) && is_image(node->input(0)) &&
           reduces_in_both_layouts(node);
  }
  if (is_unary(node->op())) return is_image(node->input(0));
  if (is_broadcasting(node->op())) return broadcasts_in_both_layouts(node);
  if (is_reduction(node->op())) return is_image(node->input(0)) && reduces_in_both_layouts(node);
  switch (node->op()) {
    case Op::QuantizeLinear:
    case Op::DequantizeLinear:
      return is_per_tensor(node);
    case Op::QuantizeRows:  // whole samples only
      return is_image(node->input(0)) && node->int_attr("axis", -1) == 1;
    case Op::Concat:
      return std::all_of(node->inputs().begin(), node->inputs().end(), is_image);
    case Op::Split:
      return is_image(node->input(0));
    case Op::Softmax:
    case Op::LogSoftmax:
      return true;
    case Op::Slice:
      return is_image(node->input(0)) && has_constant_bounds(node);
    case Op::Pad:
      return is_image(node->input(0)) && node->input(1)->is_constant() && node->input(3) == nullptr &&
             node->input(1)->constant().elements() == 8;
    case Op::Gather:
      return is_image(node->input(0)) && node->input(1)->type.ranked && node->input(1)->type.rank() == 1;
    default:
      return false;
  }
}

bool is_laid_out(const Node* node, int i) {
  if (is_broadcasting(node->op()) || node->op() == Op::Concat) return true;
  return i == 0 || (node->op() == Op::FusedConv && i == 3);
}

void remap_node(Graph& graph, Node* node) {
  if (wants_channels_last(node)) {
    node->attrs["channels_last"] = int64_t{1};
    if (node->op() == Op::Resize) {
      permute_list(graph, node, 2);
      permute_list(graph, node, 3);
    }
    return;
  }
  switch (node->op()) {
    case Op::Concat:
    case Op::Split:
    case Op::Gather:
      node->attrs["axis"] = axis_in_last(node->int_attr("axis", 0));
      return;
    case Op::Softmax:
    case Op::LogSoftmax:
      node->attrs["axis"] = axis_in_last(node->int_attr("axis", -1));
      return;
    case Op::Slice:
      remap_slice(graph, node);
      return;
    case Op::Pad:
      remap_pads(graph, node);
      return;
    default:
      break;
  }
  if (is_reduction(node->op()) && node->input(1) != nullptr) remap_axes(graph, node, 1);
}

Tensor permuted(const Tensor& tensor, const std::vector<int64_t>& perm) {
  Shape shape;
  std::vector<int64_t> steps;
  const std::vector<int64_t> strides = row_major_strides(tensor.shape());
  for (const int64_t axis : perm) {
    shape.push_back(tensor.dim(axis));
    steps.push_back(strides.at(static_cast<size_t>(axis)));
  }
  Tensor out = Tensor::allocate(tensor.dtype(), shape);
  const auto size = static_cast<size_t>(bytes_of(tensor.dtype()));
  const auto* src = static_cast<const std::byte*>(tensor.raw());
  auto* dst = static_cast<std::byte*>(out.mutable_raw());
  std::vector<int64_t> at(shape.size(), 0);
  int64_t offset = 0;
  for (int64_t n = 0; n < out.elements(); ++n, dst += size) {
    std::memcpy(dst, src + static_cast<size_t>(offset) * size, size);
    for (size_t i = shape.size(); i-- > 0;) {
      offset += steps[i];
      if (++at[i] < shape[i]) break;
      offset -= steps[i] * shape[i];
      at[i] = 0;
    }
  }
  return out;
}

Tensor permuted_operand(const Tensor& tensor) {
  if (tensor.elements() == 1) return tensor;
  Shape full = tensor.shape();
  full.insert(full.begin(), static_cast<size_t>(4 - tensor.rank()), 1);
  const Tensor last = permuted(tensor.reshaped(full), kToLast);
  Shape shape = last.shape();
  while (tensor.rank() < 4 && shape.size() > 1 && shape.front() == 1) shape.erase(shape.begin());
  return last.reshaped(shape);
}

}  // namespace narrow::passes
