#include "quant/float_units.h"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "passes/patterns.h"
#include "quant/regions.h"
#include "quant/sized_graph.h"
#include "quant/wide.h"

namespace narrow::quant {
namespace {

using ir::Node;
using ir::Op;

bool is_unit(const Node& node) {
  switch (node.op()) {
    case Op::LayerNormalization:
    case Op::RMSNormalization:
    case Op::Attention:
      return true;
    case Op::MatMul:
      return !node.input(0)->is_constant() && !node.input(1)->is_constant() && weights_of(node) == nullptr;
    default:
      return false;
  }
}

/// Masks are read in FP32 beside narrower scores: -1e9 is beyond FP16.
bool adds_mask(const Node& node, const passes::Pattern& pattern) {
  return node.op() == Op::Add && std::any_of(pattern.nodes.begin(), pattern.nodes.end(),
                                             [](const Node* each) { return each->op() == Op::Softmax; });
}

class Finder {
 public:
  explicit Finder(const ir::Graph& graph) : order_(graph.nodes()), half_(half_region(graph, {})) {
    for (const passes::Pattern& pattern : passes::norm_patterns(graph)) add(pattern);
    for (const passes::Pattern& pattern : passes::attention_patterns(graph)) add(pattern);
    for (const Node* node : order_)
      if (is_unit(*node) && !taken_.contains(node)) add({.nodes = {node}, .result = node->output()});
  }

  std::vector<FloatUnit> in_order() {
    std::vector<FloatUnit> units;
    for (const Node* node : order_)
      if (const auto unit = units_.find(node); unit != units_.end()) units.push_back(std::move(unit->second));
    return units;
  }

 private:
  void add(const passes::Pattern& pattern) {
    const Node* last = pattern.result->producer();
    FloatUnit unit{.key = key_of(*last), .name = name_of(*last), .nodes = {}, .able = {}};
    for (const Node* node : pattern.nodes) {
      unit.nodes.push_back(key_of(*node));
      if (half_.contains(node) && !adds_mask(*node, pattern)) unit.able.push_back(key_of(*node));
    }
    const bool free = std::none_of(pattern.nodes.begin(), pattern.nodes.end(),
                                   [&](const Node* node) { return taken_.contains(node); });
    if (unit.able.empty() || !free) return;
    taken_.insert(pattern.nodes.begin(), pattern.nodes.end());
    units_[last] = std::move(unit);
  }

  std::vector<Node*> order_;
  std::unordered_set<const Node*> half_, taken_;
  std::unordered_map<const Node*, FloatUnit> units_;
};

}  // namespace

std::vector<FloatUnit> float_units(const ir::Graph& graph, const std::map<std::string, Shape>& shapes) {
  return Finder(sized_graph(graph, shapes)).in_order();
}

}  // namespace narrow::quant
