#include "quant/gradient/prepare.h"

#include <algorithm>
#include <limits>
#include <optional>

namespace narrow::quant::gradient {
namespace {

using ir::Node;
using ir::Op;
using ir::Value;

struct Bounds {
  float low, high;
};

std::optional<Bounds> bounds_of(const Node& node) {
  Bounds bounds{-std::numeric_limits<float>::infinity(), std::numeric_limits<float>::infinity()};
  if (node.op() != Op::Clip) return std::nullopt;
  for (const int i : {1, 2}) {
    if (node.input(i) == nullptr) continue;
    if (!node.input(i)->is_constant() || node.input(i)->constant().elements() != 1) return std::nullopt;
    (i == 1 ? bounds.low : bounds.high) = to_floats(node.input(i)->constant())[0];
  }
  return bounds.low < bounds.high ? std::optional(bounds) : std::nullopt;
}

bool has_perm(const Node* node, const std::vector<int64_t>& perm) {
  return node != nullptr && node->op() == Op::Transpose && node->ints_attr("perm") == perm;
}

}  // namespace

void fuse_bounds(ir::Graph& graph) {
  for (Node* product : graph.nodes()) {
    if (product->op() != Op::FusedConv && product->op() != Op::FusedMatMul) continue;
    const Value* result = product->output();
    if (graph.readers(result) != 1 || result->uses().size() != 1) continue;
    Node* reader = result->uses()[0].node;
    const auto bounds = bounds_of(*reader);
    if (reader->op() != Op::Relu && !bounds) continue;
    product->attrs["activation"] = std::string(bounds ? "clip" : "relu");
    if (bounds) product->attrs["alpha"] = bounds->low, product->attrs["beta"] = bounds->high;
    graph.replace_all_uses(reader->output(), product->output());
    graph.erase(reader);
  }
}

LyingBorders open_borders(ir::Graph& graph) {
  LyingBorders borders;
  for (Value* input : graph.inputs()) {
    const std::vector<ir::Use> uses = input->uses();
    const bool turned = !uses.empty() && !graph.is_graph_output(input) &&
                        std::all_of(uses.begin(), uses.end(), [](const ir::Use& use) {
                          return has_perm(use.node, {0, 2, 3, 1});
                        });
    if (!turned) continue;
    input->type = uses[0].node->output()->type;
    for (const ir::Use& use : uses) {
      graph.replace_all_uses(use.node->output(), input);
      graph.erase(use.node);
    }
    borders.inputs.insert(input->name);
  }
  for (size_t i = 0; i < graph.outputs().size(); ++i) {
    const ir::GraphOutput output = graph.outputs()[i];
    Node* node = output.value->producer();
    if (!has_perm(node, {0, 3, 1, 2})) continue;
    graph.set_output(i, node->input(0));
    if (graph.readers(node->output()) == 0) graph.erase(node);
    borders.outputs.insert(output.name);
  }
  return borders;
}

}  // namespace narrow::quant::gradient
