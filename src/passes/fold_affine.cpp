// Mul, Div, Add, Sub by a constant per channel fold into the Conv, ConvTranspose or Gemm before them:
//   layer(x) * s + t  ->  layer'(x)          s, t of shape [1,C,1,1], [C,1,1] or a single number
// Chains fold one by one, nearest first. Sub and Div only with the layer on the left.
#include "passes/list.h"
#include "passes/scale_layer.h"

namespace narrow::passes {
namespace {

struct PerChannel {
  std::vector<double> scale, shift;
};

std::optional<PerChannel> as_affine(const Node* node, const Value* layer_output, int64_t channels) {
  const Value* constant = other_input(node, layer_output);
  if (!layer_output->type.ranked || constant == layer_output) return {};
  const auto values = per_channel(constant, layer_output->type.rank(), 1, channels);
  const bool layer_on_the_left = node->input(0) == layer_output;
  if (!values || (!layer_on_the_left && (node->op() == Op::Sub || node->op() == Op::Div))) return {};
  PerChannel affine{std::vector<double>(values->size(), 1.0), std::vector<double>(values->size(), 0.0)};
  for (size_t c = 0; c < values->size(); ++c) {
    const auto v = static_cast<double>((*values)[c]);
    if (node->op() == Op::Mul) affine.scale[c] = v;
    if (node->op() == Op::Div) affine.scale[c] = 1.0 / v;
    if (node->op() == Op::Add) affine.shift[c] = v;
    if (node->op() == Op::Sub) affine.shift[c] = -v;
    if (node->op() == Op::Div && v == 0.0) return {};
  }
  return affine;
}

bool is_affine_op(Op op) { return op == Op::Mul || op == Op::Div || op == Op::Add || op == Op::Sub; }

bool fold_into_operand(Graph& graph, Node* node) {
  for (int i = 0; i < 2; ++i) {
    Value* layer_output = node->input(i);
    const int64_t channels = foldable_channels(graph, layer_output);
    if (channels == 0) continue;
    const auto affine = as_affine(node, layer_output, channels);
    if (!affine) continue;
    scale_layer(graph, layer_output->producer(), affine->scale, affine->shift, node->output());
    return true;
  }
  return false;
}

}  // namespace

Result<int64_t> fold_affine(Graph& graph, const PassContext& context) {
  (void)context;
  int64_t folded = 0;
  for (Node* node : graph.nodes())
    if (!graph.is_dead(node) && is_affine_op(node->op()) && fold_into_operand(graph, node)) ++folded;
  return folded;
}

}  // namespace narrow::passes
