// What depends on constants and known dimensions only becomes a constant.
//
// Dimensions are followed through Shape, Gather, Slice, Concat, Squeeze, Unsqueeze and Cast, so
// Gather(Shape(x), 1) folds although the batch is a symbol. A Reshape to [N, 12, -1] whose N is x's own first
// dimension becomes [0, 12, -1]. Left alone: DequantizeLinear of integers, casts of half constants and of the
// gaps of weights apart (weights stay narrow), values with quantized types, and results beyond
// kLargestResult.
#include <algorithm>
#include <limits>
#include <map>
#include <unordered_map>
#include <unordered_set>

#include "ir/schema.h"
#include "passes/fuse_tail.h"
#include "passes/list.h"
#include "passes/match.h"
#include "passes/weights_apart.h"

namespace narrow::passes {
namespace {

constexpr int64_t kLargestResult = int64_t{64}
                                   << 20;  // bytes; what an Expand or ConstantOfShape may grow a file by

using Dims = std::vector<ir::Dim>;

// ---------------------------------------------------------------- values made of dimensions

/// What is known about small integer vectors: their elements as dimensions.
class DimTracker {
 public:
  std::optional<Dims> find(const Value* value) const {
    if (value == nullptr) return {};
    if (const auto it = known_.find(value); it != known_.end()) return it->second;
    if (value->type.dtype != DType::s64 && value->type.dtype != DType::s32) return {};
    const auto ints =
        value->is_constant() && value->constant().elements() <= 64 ? int_constant(value) : std::nullopt;
    if (!ints) return {};
    Dims dims(ints->size());
    std::transform(ints->begin(), ints->end(), dims.begin(), [](int64_t i) { return constant_dim(i); });
    return dims;
  }

  void visit(const Node* node) {
    if (node->outputs().empty()) return;
    if (auto dims = evaluate(node)) known_[node->output()] = std::move(*dims);
  }

  /// A negative constant (-1 of a Reshape) is kept as a symbol no model can write.
  static ir::Dim constant_dim(int64_t i) { return i >= 0 ? ir::Dim(i) : ir::Dim("\x01" + std::to_string(i)); }
  static std::optional<int64_t> number(const ir::Dim& dim) {
    if (dim.known()) return dim.value;
    if (!dim.symbol.empty() && dim.symbol[0] == '\x01') return std::stoll(dim.symbol.substr(1));
    return {};
  }

 private:
  std::optional<Dims> evaluate(const Node* node) const {
    switch (node->op()) {
      case Op::Shape:
        return shape(node);
      case Op::Gather:
        return gather(node);
      case Op::Slice:
        return slice(node);
      case Op::Concat:
        return concat(node);
      case Op::Squeeze:
      case Op::Unsqueeze:
      case Op::Identity:
        return find(node->input(0));
      case Op::Cast:
        return is_integer(node->output()->type.dtype) ? find(node->input(0)) : std::nullopt;
      default:
        return {};
    }
  }

  static std::optional<Dims> shape(const Node* node) {
    const ir::TensorType& type = node->input(0)->type;
    if (!type.ranked) return {};
    const auto clamp = [&](int64_t i) {
      return std::clamp<int64_t>(i < 0 ? i + type.rank() : i, 0, type.rank());
    };
    const int64_t start = clamp(node->int_attr("start", 0)), end = clamp(node->int_attr("end", type.rank()));
    if (start >= end) return Dims{};
    return Dims(type.dims.begin() + start, type.dims.begin() + end);
  }

  std::optional<Dims> gather(const Node* node) const {
    const auto data = find(node->input(0));
    const auto indices = int_constant(node->input(1));
    if (!data || !indices || known_rank(node->input(0)) != 1 || known_rank(node->input(1)) > 1) return {};
    Dims picked;
    for (int64_t i : *indices) {
      if (i < 0) i += static_cast<int64_t>(data->size());
      if (i < 0 || i >= static_cast<int64_t>(data->size())) return {};
      picked.push_back((*data)[static_cast<size_t>(i)]);
    }
    return picked;
  }

  std::optional<Dims> slice(const Node* node) const {
    const auto data = find(node->input(0));
    const auto starts = int_constant(node->input(1)), ends = int_constant(node->input(2));
    const bool has_steps = node->input(4) != nullptr;
    if (!data || known_rank(node->input(0)) != 1 || !starts || !ends || starts->size() != 1 ||
        ends->size() != 1)
      return {};
    if (has_steps && int_constant(node->input(4)) != std::vector<int64_t>{1}) return {};
    const auto size = static_cast<int64_t>(data->size());
    const auto clamp = [&](int64_t i) { return std::clamp<int64_t>(i < 0 ? i + size : i, 0, size); };
    const int64_t start = clamp(starts->at(0)), end = clamp(ends->at(0));
    if (start >= end) return Dims{};
    return Dims(data->begin() + start, data->begin() + end);
  }

  std::optional<Dims> concat(const Node* node) const {
    Dims all;
    for (const Value* input : node->inputs()) {
      const auto part = find(input);
      if (!part || known_rank(input) != 1) return {};
      all.insert(all.end(), part->begin(), part->end());
    }
    return all;
  }

  static int64_t known_rank(const Value* value) { return value->type.ranked ? value->type.rank() : -1; }

  std::unordered_map<const Value*, Dims> known_;
};

/// The constant that `dims` make in the shape and type of `value`, when all are numbers.
std::optional<Tensor> as_constant(const Dims& dims, const Value* value) {
  std::vector<int64_t> numbers;
  for (const ir::Dim& dim : dims) {
    const auto number = DimTracker::number(dim);
    if (!number) return {};
    numbers.push_back(*number);
  }
  if (!value->type.is_static() || !is_integer(value->type.dtype)) return {};
  const Shape shape = value->type.shape();
  if (elements_of(shape) != static_cast<int64_t>(numbers.size())) return {};
  return cast(Tensor::of(shape, numbers), value->type.dtype);
}

/// Reshape to a shape of numbers and at most x's own leading symbols: those become 0, "as in the input".
bool simplify_reshape(Graph& graph, Node* node, const DimTracker& dims) {
  if (node->input(1) == nullptr || node->input(1)->is_constant() || node->int_attr("allowzero", 0) != 0)
    return false;
  const auto target = dims.find(node->input(1));
  const ir::TensorType& type = node->input(0)->type;
  if (!target || !type.ranked) return false;
  std::vector<int64_t> shape;
  for (size_t i = 0; i < target->size(); ++i) {
    const ir::Dim& dim = (*target)[i];
    const bool copied = !dim.symbol.empty() && i < type.dims.size() && type.dims[i] == dim;
    const auto number = copied ? std::optional<int64_t>(0) : DimTracker::number(dim);
    if (!number || (!copied && *number == 0)) return false;
    shape.push_back(*number);
  }
  graph.set_input(node, 1, add_ints(graph, node->output()->name + "_shape", shape));
  return true;
}

// ---------------------------------------------------------------- evaluation

bool keeps_weights_narrow(const Node* node) {
  if (node->op() == Op::DequantizeLinear) return true;
  const Value* input = node->input(0);
  return node->op() == Op::Cast && input != nullptr &&
         (input->type.dtype == DType::f16 || input->type.dtype == DType::bf16 || widens_gaps(node));
}

bool small_and_plain(const Node* node, int64_t largest) {
  for (const Value* output : node->outputs()) {
    if (!output->type.is_static() || output->type.quant) return false;
    const auto elements =
        checked_elements(output->type.shape(), std::max<int64_t>(1, bytes_of(output->type.dtype)));
    if (!elements.ok() || *elements * bytes_of(output->type.dtype) > largest) return false;
  }
  return std::none_of(node->inputs().begin(), node->inputs().end(),
                      [](const Value* v) { return v != nullptr && v->type.quant; });
}

bool has_constant_inputs(const Node* node) {
  return std::all_of(node->inputs().begin(), node->inputs().end(),
                     [](const Value* v) { return v == nullptr || v->is_constant(); });
}

void replace_by_constant(Graph& graph, Value* value, Tensor tensor) {
  Value* constant = graph.add_constant(value->name, std::move(tensor));
  graph.replace_all_uses(value, constant);
}

Result<bool> evaluate(Graph& graph, Node* node, const PassContext& context,
                      int64_t largest = kLargestResult) {
  if (!context.evaluate || node->outputs().empty() || !has_constant_inputs(node) ||
      !small_and_plain(node, largest))
    return false;
  std::vector<const Tensor*> inputs;
  for (const Value* value : node->inputs()) inputs.push_back(value == nullptr ? nullptr : &value->constant());
  auto outputs = context.evaluate(*node, inputs);
  if (!outputs.ok()) {
    if (outputs.error().code == Code::unsupported) return false;  // no arithmetic for it: it stays a node
    return std::move(outputs).error();
  }
  if (outputs->size() < node->outputs().size()) return false;
  for (size_t i = 0; i < node->outputs().size(); ++i)
    replace_by_constant(graph, node->outputs()[i], std::move((*outputs)[i]));
  return true;
}

}  // namespace

Result<int64_t> fold_constants(Graph& graph, const PassContext& context) {
  int64_t folded = 0;
  DimTracker dims;
  for (Node* node : graph.nodes()) {
    if (folded > 0) NARROW_DO(ir::infer_types(*node));  // a shape just folded tells the shapes behind it
    dims.visit(node);
    if (const auto known = dims.find(node->outputs().empty() ? nullptr : node->output());
        known && !node->output()->is_constant()) {
      if (auto tensor = as_constant(*known, node->output())) {
        if (graph.readers(node->output()) == 0) continue;
        replace_by_constant(graph, node->output(), std::move(*tensor));
        ++folded;
        continue;
      }
    }
    if (node->op() == Op::Reshape && simplify_reshape(graph, node, dims)) ++folded;
    if (keeps_weights_narrow(node)) continue;
    NARROW_TRY(const bool done, evaluate(graph, node, context));
    folded += done ? 1 : 0;
  }
  return folded;
}

Result<int64_t> fold_narrow_parameters(Graph& graph, const PassContext& context) {
  int64_t folded = 0;
  for (Node* node : graph.nodes_of(Op::BatchNormalization))
    for (Value* input : std::vector<Value*>(node->inputs())) {
      Node* dequantize = input == nullptr ? nullptr : producer_of(input, Op::DequantizeLinear);
      if (dequantize == nullptr || !has_constant_inputs(dequantize)) continue;
      NARROW_TRY(const bool done, evaluate(graph, dequantize, context));
      folded += done ? 1 : 0;
    }
  return folded;
}

namespace {
/// Nodes that put weights apart in their places, where all they are made of is constant.
std::unordered_set<const Node*> nodes_of_weights_apart(const Graph& graph) {
  std::unordered_set<const Node*> nodes;
  for (const Node* node : graph.nodes()) {
    const auto apart = node->op() == Op::Reshape ? weights_apart(node->output()) : std::nullopt;
    if (apart && is_constant_weight(node->output()))
      nodes.insert({apart->flat, apart->places, apart->add, apart->whole});
  }
  return nodes;
}
}  // namespace

/// What is widened is weights: as many elements as there are codes, and a plan would widen them for every
/// inference.
constexpr int64_t kAnySize = std::numeric_limits<int64_t>::max();

Result<int64_t> fold_narrow_constants(Graph& graph, const PassContext& context) {
  int64_t folded = 0;
  const std::unordered_set<const Node*> apart = nodes_of_weights_apart(graph);
  for (Node* node : graph.nodes()) {
    if (!keeps_weights_narrow(node) && !apart.contains(node)) continue;
    NARROW_TRY(const bool done, evaluate(graph, node, context, kAnySize));
    folded += done ? 1 : 0;
  }
  return folded;
}

}  // namespace narrow::passes
