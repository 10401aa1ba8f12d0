#include "quant/followers.h"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "passes/patterns.h"
#include "quant/regions.h"

namespace narrow::quant {
namespace {

using ir::Node;
using ir::Op;
using ir::Value;

bool carries_data(const Value* value) {
  return value != nullptr && !value->is_constant() && value->type.dtype == DType::f32;
}

/// Attention, or one of its products.
bool multiplies_values(const Node& node) {
  return node.op() == Op::Attention || (node.op() == Op::MatMul && weights_of(node) == nullptr &&
                                        carries_data(node.input(0)) && carries_data(node.input(1)));
}

/// Splits or joins heads: moves all elements and adds none, but for an Expand.
bool moves_heads(const Node& node) {
  switch (node.op()) {
    case Op::Reshape:
    case Op::Flatten:
    case Op::Squeeze:
    case Op::Unsqueeze:
    case Op::Transpose:
    case Op::Expand:
      return true;
    default:
      return false;
  }
}

class Followers {
 public:
  Followers(const ir::Graph& graph, const calib::Profile& profile, const Wide& wide, Recipe& recipe)
      : graph_(graph),
        profile_(profile),
        wide_(wide),
        recipe_(recipe),
        half_(half_region(graph, {})),
        norms_(passes::norm_patterns(graph)) {
    for (const Node* node : graph.nodes())
      if (!node->outputs().empty()) order_.push_back(node);
    for (const passes::Pattern& norm : norms_)
      for (const Node* node : norm.nodes) norm_of_[node] = &norm;
    for (const ir::GraphOutput& output : graph.outputs()) results_.insert(output.value);
  }

  void take(NodeFormat format) {
    format_ = format;
    inside_.clear();
    for (const Node* node : order_)
      if (has_format(*node)) inside_.insert(node);
    if (inside_.empty()) return;
    std::unordered_set<const Node*> fixed = inside_;
    for (const Node* node : order_)
      if (is_candidate(*node) && (is_bias(*node) || is_behind_attention(*node)))
        fixed.insert(node), inside_.insert(node);
    for (auto node = order_.rbegin(); node != order_.rend(); ++node)
      if (is_candidate(**node) && is_before_attention(**node)) fixed.insert(*node), inside_.insert(*node);
    for (const Node* node : order_)
      if (is_candidate(*node)) inside_.insert(node);
    while (leave_out(fixed)) {
    }
    for (const Node* node : order_)
      if (inside_.contains(node) && !has_format(*node)) recipe_.nodes[key_of(*node)] = {format, ""};
  }

 private:
  bool has_format(const Node& node) const {
    const auto found = recipe_.nodes.find(key_of(node));
    return found != recipe_.nodes.end() && found->second.format == format_;
  }

  bool is_candidate(const Node& node) const {
    const std::string& key = key_of(node);
    return half_.contains(&node) && !is_heavy(node) && !recipe_.nodes.contains(key) && !wide_.contains(key) &&
           !recipe_.tables.contains(key) &&
           (format_ != NodeFormat::fp16 || half_overflow(node, profile_).empty());
  }

  /// The bias of a product without a place for one: the engine computes both at once.
  bool is_bias(const Node& node) const {
    if (node.op() != Op::Add) return false;
    for (int i = 0; i < 2; ++i) {
      const Node* product = node.input(i)->producer();
      if (node.input(1 - i)->is_constant() && product != nullptr && product->op() == Op::MatMul &&
          has_format(*product) && graph_.readers(node.input(i)) == 1)
        return true;
    }
    return false;
  }

  /// Joins the heads of an attention in the format. Before `inside_` has candidates of other kinds.
  bool is_behind_attention(const Node& node) const {
    const Node* source = moves_heads(node) && node.op() != Op::Expand ? node.input(0)->producer() : nullptr;
    return source != nullptr && inside_.contains(source) && graph_.readers(node.input(0)) == 1 &&
           (multiplies_values(*source) || moves_heads(*source));
  }

  /// Splits heads for attentions in the format. Likewise.
  bool is_before_attention(const Node& node) const {
    if (!moves_heads(node) || node.output()->uses().empty() || results_.contains(node.output())) return false;
    const std::vector<ir::Use>& uses = node.output()->uses();
    return std::all_of(uses.begin(), uses.end(), [&](const ir::Use& use) {
      return inside_.contains(use.node) && (multiplies_values(*use.node) || moves_heads(*use.node));
    });
  }

  /// One sweep; true: some node cannot follow, and others may not without it.
  bool leave_out(const std::unordered_set<const Node*>& fixed) {
    bool changed = false;
    for (const Node* node : order_)
      if (inside_.contains(node) && !fixed.contains(node) && !follows(*node)) {
        inside_.erase(node);
        changed = true;
      }
    return changed;
  }

  bool follows(const Node& node) const {
    const auto norm = norm_of_.find(&node);
    if (norm != norm_of_.end() && !is_inside(*norm->second)) return false;
    const auto comes_inside = [&](const Value* input) {
      return !carries_data(input) || (input->producer() != nullptr && joins(*input->producer()));
    };
    if (!std::all_of(node.inputs().begin(), node.inputs().end(), comes_inside)) return false;
    for (const Value* output : node.outputs()) {
      const std::vector<ir::Use>& uses = output->uses();
      if (results_.contains(output) ||
          !std::all_of(uses.begin(), uses.end(), [&](const ir::Use& use) { return joins(*use.node); }))
        return false;
    }
    return true;
  }

  /// `neighbour` computes in the format; or it is the part of a norm that never does, and the rest of it
  /// does.
  bool joins(const Node& neighbour) const {
    if (inside_.contains(&neighbour)) return true;
    const auto norm = norm_of_.find(&neighbour);
    return norm != norm_of_.end() && !half_.contains(&neighbour) && is_inside(*norm->second);
  }

  /// All of the norm that can compute in the format does.
  bool is_inside(const passes::Pattern& norm) const {
    return std::all_of(norm.nodes.begin(), norm.nodes.end(),
                       [&](const Node* node) { return !half_.contains(node) || inside_.contains(node); });
  }

  const ir::Graph& graph_;
  const calib::Profile& profile_;
  const Wide& wide_;
  Recipe& recipe_;
  const std::unordered_set<const Node*> half_;
  const std::vector<passes::Pattern> norms_;
  std::unordered_map<const Node*, const passes::Pattern*> norm_of_;
  std::unordered_set<const Value*> results_;
  std::vector<const Node*> order_;
  NodeFormat format_ = NodeFormat::fp32;
  std::unordered_set<const Node*> inside_;  // in the format, or not known not to be
};

}  // namespace

void add_followers(const ir::Graph& graph, const calib::Profile& profile, const Wide& wide, Recipe& recipe) {
  const bool half = std::any_of(recipe.nodes.begin(), recipe.nodes.end(), [](const auto& node) {
    return node.second.format == NodeFormat::fp16 || node.second.format == NodeFormat::bf16;
  });
  if (!half) return;
  Followers followers(graph, profile, wide, recipe);
  followers.take(NodeFormat::fp16);
  followers.take(NodeFormat::bf16);
}

}  // namespace narrow::quant
