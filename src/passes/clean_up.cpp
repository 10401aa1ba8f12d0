// Drops nodes that change nothing and merges chains of movements, until nothing more is found.
//
//   x -> x              Identity, Dropout, Cast to its own type,
//   Transpose/Reshape/Flatten/Squeeze/Unsqueeze/Expand/Slice/Pad
//                       whose result provably is the operand, Concat/Sum/Mean/Min/Max of one
//   Sum(a, b)           -> Add(a, b)
//   CastLike(x, y: T)   -> Cast<T>(x)                  so that a constant x is folded
//   Where(c, a, b)      -> a or b, when c is one constant answer and that operand has the result's shape
//   T2(T1(x))           -> one Transpose
//   R2(R1(x))           -> one Reshape, when R1 has no other reader (R: Reshape, Flatten, Squeeze, Unsqueeze)
//   Concat(.., Split(x).., ..) -> Concat(.., x, ..)   all pieces in order, cut where they are joined
//   Conv(Pad0(x))       -> Conv with more pads; AveragePool too where the padding counts
#include <algorithm>
#include <functional>
#include <limits>

#include "ir/onnx_types.h"
#include "passes/list.h"
#include "passes/match.h"

namespace narrow::passes {
namespace {

// ---------------------------------------------------------------- nodes without effect

bool same_type(const Value* a, const Value* b) {
  const bool same_quant =
      a->type.quant == b->type.quant || (a->type.quant && b->type.quant && *a->type.quant == *b->type.quant);
  return a->type.dtype == b->type.dtype && same_quant;
}

bool is_full_slice(const Node* node) {
  const auto starts = int_constant(node->input(1)), ends = int_constant(node->input(2));
  if (!starts || !ends || !node->input(0)->type.ranked) return false;
  const int64_t rank = node->input(0)->type.rank();
  std::vector<int64_t> axes;
  if (node->input(3) != nullptr) {
    const auto given = int_constant(node->input(3));
    if (!given) return false;
    axes = *given;
  } else {
    for (size_t i = 0; i < starts->size(); ++i) axes.push_back(static_cast<int64_t>(i));
  }
  if (node->input(4) != nullptr) {
    const auto steps = int_constant(node->input(4));
    if (!steps || std::any_of(steps->begin(), steps->end(), [](int64_t s) { return s != 1; })) return false;
  }
  for (size_t i = 0; i < starts->size(); ++i) {
    const int64_t dim = known_dim(node->input(0), normalized_axis(axes.at(i), rank));
    const bool to_the_end =
        (*ends)[i] >= std::numeric_limits<int32_t>::max() || (dim >= 0 && (*ends)[i] >= dim);
    if ((*starts)[i] != 0 || !to_the_end) return false;
  }
  return true;
}

bool all_zero(const std::optional<std::vector<int64_t>>& values) {
  return values && std::all_of(values->begin(), values->end(), [](int64_t v) { return v == 0; });
}

bool is_still_transpose(const Node* node) {
  const std::vector<int64_t> perm = node->ints_attr("perm");
  if (perm.empty()) return node->input(0)->type.ranked && node->input(0)->type.rank() <= 1;
  if (std::is_sorted(perm.begin(), perm.end())) return true;
  return is_reshape(node->input(0)->type, perm) && same_shape(node->input(0), node->output());
}

bool is_inference_dropout(const Node* node) {
  return node->input(2) == nullptr ||
         all_zero(node->input(2)->is_constant() ? std::optional(to_ints(node->input(2)->constant()))
                                                : std::nullopt);
}

bool has_no_effect(const Node* node) {
  const Value *x = node->input(0), *y = node->outputs().empty() ? nullptr : node->output();
  if (x == nullptr || y == nullptr || !same_type(x, y)) return false;
  switch (node->op()) {
    case Op::Identity:
    case Op::Cast:
    case Op::CastLike:
      return true;
    case Op::Dropout:
      return is_inference_dropout(node);
    case Op::Transpose:
      return is_still_transpose(node);
    case Op::Reshape:
    case Op::Flatten:
    case Op::Squeeze:
    case Op::Unsqueeze:
    case Op::Expand:
      return same_shape(x, y);
    case Op::Slice:
      return is_full_slice(node);
    case Op::Pad:
      return all_zero(int_constant(node->input(1)));
    case Op::Concat:
    case Op::Sum:
    case Op::Mean:
    case Op::Min:
    case Op::Max:
      return node->inputs().size() == 1;
    default:
      return false;
  }
}

/// A model's output keeps a node of its own when the operand is an input, a constant or another output.
bool may_vanish(const Graph& graph, const Node* node) {
  const Value* x = node->input(0);
  for (size_t i = 1; i < node->outputs().size(); ++i)
    if (graph.readers(node->outputs()[i]) > 0) return false;  // Dropout's mask
  if (!graph.is_graph_output(node->output())) return true;
  return !x->is_graph_input() && !x->is_constant() && !graph.is_graph_output(x);
}

bool drop(Graph& graph, Node* node) {
  if (!has_no_effect(node) || !may_vanish(graph, node)) return false;
  graph.replace_all_uses(node->output(), node->input(0));
  graph.erase(node);
  return true;
}

// ---------------------------------------------------------------- chains

bool merge_transposes(Graph& graph, Node* node) {
  Node* first = node->op() == Op::Transpose ? producer_of(node->input(0), Op::Transpose) : nullptr;
  if (first == nullptr) return false;
  const auto inner = first->ints_attr("perm"), outer = node->ints_attr("perm");
  if (inner.empty() || inner.size() != outer.size()) return false;
  std::vector<int64_t> both;
  for (const int64_t axis : outer) both.push_back(inner.at(static_cast<size_t>(axis)));
  node->attrs["perm"] = both;
  graph.set_input(node, 0, first->input(0));
  return true;
}

bool only_reshapes(Op op) {
  return op == Op::Reshape || op == Op::Flatten || op == Op::Squeeze || op == Op::Unsqueeze;
}

/// The shape operand that makes `type`: at most one dimension unknown (-1), none 0.
std::optional<std::vector<int64_t>> shape_operand(const ir::TensorType& type) {
  if (!type.ranked) return {};
  std::vector<int64_t> shape;
  for (const ir::Dim& dim : type.dims) shape.push_back(dim.known() ? dim.value : -1);
  const bool zero = std::count(shape.begin(), shape.end(), 0) > 0;
  return zero || std::count(shape.begin(), shape.end(), -1) > 1 ? std::nullopt : std::optional(shape);
}

bool merge_reshapes(Graph& graph, Node* node) {
  if (!only_reshapes(node->op()) || node->input(0) == nullptr) return false;
  Node* first = node->input(0)->producer();
  if (first == nullptr || !only_reshapes(first->op()) || graph.readers(node->input(0)) != 1) return false;
  const auto shape = shape_operand(node->output()->type);
  if (!shape) return false;
  Value* target = add_ints(graph, node->output()->name + "_shape", *shape);
  replace_with(graph, node->output(), Op::Reshape, {first->input(0), target});
  return true;
}

/// The Split whose outputs, all of them, are the inputs of a Concat from `i` on, along the same axis.
const Node* split_before(const Node* concat, size_t i) {
  const Node* split = concat->inputs()[i] != nullptr ? producer_of(concat->inputs()[i], Op::Split) : nullptr;
  if (split == nullptr || !split->input(0)->type.ranked) return nullptr;
  const int64_t rank = split->input(0)->type.rank();
  if (normalized_axis(split->int_attr("axis", 0), rank) !=
          normalized_axis(concat->int_attr("axis", 0), rank) ||
      !same_type(split->input(0), split->output(0)) || concat->inputs().size() - i < split->outputs().size())
    return nullptr;
  const bool in_order = std::equal(split->outputs().begin(), split->outputs().end(),
                                   concat->inputs().begin() + static_cast<std::ptrdiff_t>(i));
  return in_order ? split : nullptr;
}

bool join_split(Graph& graph, Node* node) {
  if (node->op() != Op::Concat) return false;
  std::vector<Value*> inputs;
  for (size_t i = 0; i < node->inputs().size();) {
    const Node* split = split_before(node, i);
    inputs.push_back(split != nullptr ? split->input(0) : node->inputs()[i]);
    i += split != nullptr ? split->outputs().size() : 1;
  }
  if (inputs == node->inputs()) return false;
  replace_with(graph, node->output(), Op::Concat, std::move(inputs), node->attrs, node->name);
  return true;
}

bool sum_to_add(Graph& graph, Node* node) {
  if (node->op() != Op::Sum || node->inputs().size() != 2) return false;
  graph.set_op(node, Op::Add);
  return true;
}

bool cast_to_known_type(Graph& graph, Node* node) {
  if (node->op() != Op::CastLike) return false;
  Attributes attrs{{"to", ir::onnx_of_dtype(node->output()->type.dtype)}};
  if (node->has("saturate")) attrs["saturate"] = node->int_attr("saturate", 1);
  replace_with(graph, node->output(), Op::Cast, {node->input(0)}, std::move(attrs), node->name);
  return true;
}

bool decided_where(Graph& graph, Node* node) {
  if (node->op() != Op::Where || !node->input(0)->is_constant() || graph.is_graph_output(node->output()))
    return false;
  const std::vector<int64_t> answers = to_ints(node->input(0)->constant());
  if (answers.empty() ||
      std::adjacent_find(answers.begin(), answers.end(), std::not_equal_to<>()) != answers.end())
    return false;
  Value* chosen = node->input(answers[0] != 0 ? 1 : 2);
  if (!same_type(chosen, node->output()) || !same_shape(chosen, node->output())) return false;
  graph.replace_all_uses(node->output(), chosen);
  return true;
}

// ---------------------------------------------------------------- padding

/// Spatial pads of a Pad with constant 0, [begin..., end...]; nothing when it does anything else.
std::optional<std::vector<int64_t>> zero_padding(const Node* pad) {
  const Value* x = pad->input(0);
  if (!x->type.ranked || x->type.rank() < 3 || x->type.quant || !is_float(x->type.dtype)) return {};
  if (pad->string_attr("mode", "constant") != "constant" || pad->input(3) != nullptr) return {};
  if (pad->input(2) != nullptr && scalar_constant(pad->input(2)) != 0.0) return {};
  const auto pads = int_constant(pad->input(1));
  const auto rank = static_cast<size_t>(x->type.rank());
  if (!pads || pads->size() != 2 * rank ||
      std::any_of(pads->begin(), pads->end(), [](int64_t p) { return p < 0; }))
    return {};
  if ((*pads)[0] != 0 || (*pads)[1] != 0 || (*pads)[rank] != 0 || (*pads)[rank + 1] != 0) return {};
  std::vector<int64_t> spatial(pads->begin() + 2, pads->begin() + static_cast<std::ptrdiff_t>(rank));
  spatial.insert(spatial.end(), pads->begin() + static_cast<std::ptrdiff_t>(rank) + 2, pads->end());
  return spatial;
}

bool fold_padding(Graph& graph, Node* node) {
  if (node->op() != Op::Conv && node->op() != Op::AveragePool) return false;
  Node* pad = producer_of(node->input(0), Op::Pad);
  if (pad == nullptr || node->string_attr("auto_pad", "NOTSET") != "NOTSET") return false;
  const auto extra = zero_padding(pad);
  if (!extra) return false;
  std::vector<int64_t> pads = node->ints_attr("pads", std::vector<int64_t>(extra->size(), 0));
  if (pads.size() != extra->size()) return false;
  if (node->op() == Op::AveragePool) {
    // The padded zeros were averaged in: they must still count, and the pool's own pads must already.
    if (node->int_attr("ceil_mode", 0) != 0 ||
        (node->int_attr("count_include_pad", 0) == 0 && !all_zero(pads)))
      return false;
    node->attrs["count_include_pad"] = int64_t{1};
  }
  for (size_t i = 0; i < pads.size(); ++i) pads[i] += (*extra)[i];
  node->attrs["pads"] = pads;
  graph.set_input(node, 0, pad->input(0));
  return true;
}

}  // namespace

Result<int64_t> clean_up(Graph& graph, const PassContext& context) {
  (void)context;
  int64_t total = 0, round = 0;
  do {
    round = 0;
    for (Node* node : graph.nodes()) {
      if (graph.is_dead(node)) continue;
      const bool changed = drop(graph, node) || merge_transposes(graph, node) ||
                           merge_reshapes(graph, node) || join_split(graph, node) ||
                           sum_to_add(graph, node) || cast_to_known_type(graph, node) ||
                           decided_where(graph, node) || fold_padding(graph, node);
      round += changed ? 1 : 0;
    }
    total += round;
    graph.remove_dead();
  } while (round > 0);
  return total;
}

}  // namespace narrow::passes
