// Image-shaped values lie as [N,H,W,C] wherever convolutions and pools reach.
//
// Regions start at ops whose kernels want channels last (FusedConv, pools, Resize, ...), and at Transposes of
// the model that lead out of that order, and spread forward through ops that do as well either way
// (elementwise, Concat, Slice, Q/DQ, ...; see layout_rules). Inside a
// region nothing is transposed; at its border one Transpose per value leads in ({0,2,3,1}) or out
// ({0,3,1,2}), or a Reshape where the moved axes have one element, as after a global pool. Transposes of the
// model at a border cancel with ours in clean_up. A value that moves keeps its origin, with origin_perm
// {0,2,3,1} composed onto what it had.
#include <unordered_map>
#include <unordered_set>

#include "ir/schema.h"
#include "passes/layout_rules.h"
#include "passes/list.h"

namespace narrow::passes {
namespace {

using NodeSet = std::unordered_set<const Node*>;

/// An image that lies channels last already: all that is between is the model's own Transpose.
bool lies_last(const Value* value) {
  const Node* transpose = is_image(value) ? producer_of(value, Op::Transpose) : nullptr;
  return transpose != nullptr && transpose->ints_attr("perm") == kToFirst;
}

/// The nodes that will work on NHWC values.
NodeSet choose(const std::vector<Node*>& nodes) {
  NodeSet chosen;
  const auto reached = [&](const Value* v) {
    return is_image(v) && v->producer() != nullptr && chosen.contains(v->producer());
  };
  // Of an op that does as well either way: nothing it reads has to be moved.
  const auto is_free = [&](const Node* node) {
    bool some = false;
    for (int i = 0; i < static_cast<int>(node->inputs().size()); ++i) {
      const Value* v = node->input(i);
      if (!is_laid_out(node, i) || !is_image(v) || v->is_constant()) continue;
      if (!reached(v) && !lies_last(v)) return false;
      some = true;
    }
    return some && can_join(node);
  };
  for (const Node* node : nodes) {
    if (node->outputs().empty()) continue;
    bool joins = wants_channels_last(node);
    for (int i = 0; !joins && i < static_cast<int>(node->inputs().size()); ++i)
      joins = is_laid_out(node, i) && reached(node->input(i)) && can_join(node);
    if (joins || is_free(node)) chosen.insert(node);
  }
  return chosen;
}

ir::TensorType moved_type(const ir::TensorType& type, const std::vector<int64_t>& perm) {
  ir::TensorType moved = type;
  for (size_t i = 0; i < perm.size(); ++i) moved.dims[i] = type.dims[static_cast<size_t>(perm[i])];
  return moved;
}

/// Transpose(value, perm), or the Reshape that it amounts to.
Result<Value*> moved_value(Graph& graph, Value* value, const std::vector<int64_t>& perm,
                           const std::string& name) {
  if (!is_reshape(value->type, perm)) return emit(graph, Op::Transpose, {value}, name, {{"perm", perm}});
  const Shape shape = moved_type(value->type, perm).shape();
  for (const int64_t dim : shape)
    if (dim == 0) return emit(graph, Op::Transpose, {value}, name, {{"perm", perm}});
  return emit(graph, Op::Reshape, {value, add_ints(graph, name + "_shape", shape)}, name);
}

class Rewriter {
 public:
  Rewriter(Graph& graph, NodeSet chosen) : graph_(graph), chosen_(std::move(chosen)) {}

  Result<int64_t> run() {
    std::vector<Node*> olds;
    for (Node* node : graph_.nodes())
      if (chosen_.contains(node)) olds.push_back(node);
    for (Node* node : olds) NARROW_DO(rewrite(node));
    for (auto it = olds.rbegin(); it != olds.rend(); ++it) NARROW_DO(retire(*it));
    return static_cast<int64_t>(olds.size());
  }

 private:
  Result<Value*> operand(const Node* node, int i) {
    Value* value = node->input(i);
    if (value == nullptr || !is_laid_out(node, i)) return value;
    if (const auto it = last_.find(value); it != last_.end()) return it->second;
    if (value->is_constant()) {
      Value* constant = graph_.add_constant(value->name, permuted_operand(value->constant()));
      constant->type.quant = value->type.quant;
      return last_[value] = constant;
    }
    if (!is_image(value)) return value;  // one element
    NARROW_TRY(Value * moved, moved_value(graph_, value, kToLast, value->name + "_nhwc"));
    return last_[value] = moved;
  }

  Status rewrite(Node* node) {
    std::vector<Value*> inputs;
    std::vector<std::string> names;
    for (int i = 0; i < static_cast<int>(node->inputs().size()); ++i) {
      NARROW_TRY(Value * input, operand(node, i));
      inputs.push_back(input);
    }
    for (const Value* output : node->outputs()) names.push_back(output->name);
    Node* fresh = graph_.add_node(node->op(), std::move(inputs), names, node->attrs, node->name);
    for (size_t i = 0; i < node->outputs().size(); ++i) describe(node->outputs()[i], fresh->outputs()[i]);
    remap_node(graph_, fresh);
    return ir::infer_types(*fresh);
  }

  /// Type and origin of the NHWC counterpart of `old` (or of a value without layout, as it is).
  void describe(Value* old, Value* fresh) {
    fresh->origin = old->origin;
    fresh->origin_perm = old->origin_perm;
    fresh->type = old->type;
    last_[old] = fresh;
    if (!is_image(old)) return;
    fresh->type = moved_type(old->type, kToLast);
    if (old->origin.empty()) return;
    fresh->origin_perm = kToLast;
    for (int64_t& axis : fresh->origin_perm)
      if (!old->origin_perm.empty()) axis = old->origin_perm.at(static_cast<size_t>(axis));
  }

  /// Leads what is still read in NCHW out of the region and removes the old node. Called last node first.
  Status retire(Node* node) {
    const std::vector<Value*> outputs = node->outputs();
    std::vector<std::string> names;
    for (Value* old : outputs) {
      names.push_back(old->name);
      if (graph_.readers(old) == 0) continue;
      Value* back = last_.at(old);
      if (is_image(old)) {
        NARROW_TRY(back, moved_value(graph_, back, kToFirst, old->name + "_nchw"));
      }
      graph_.replace_all_uses(old, back);
      if (is_image(old)) back->origin.clear(), back->origin_perm.clear();  // the NHWC value stands for it
    }
    graph_.erase(node);
    for (size_t i = 0; i < outputs.size(); ++i) graph_.rename(last_.at(outputs[i]), names[i]);
    return {};
  }

  Graph& graph_;
  NodeSet chosen_;
  std::unordered_map<const Value*, Value*> last_;  // NCHW value -> what stands for it in the region
};

}  // namespace

Result<int64_t> channels_last(Graph& graph, const PassContext& context) {
  (void)context;
  NodeSet chosen = choose(graph.nodes());
  if (chosen.empty()) return int64_t{0};
  return Rewriter(graph, std::move(chosen)).run();
}

}  // namespace narrow::passes
