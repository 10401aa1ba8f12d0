// act(Conv(x, W, b) + r)   ->   FusedConv(x, W, b, r; activation)
//
// For two-dimensional convolutions with constant weights (or DequantizeLinear or Cast of constants: lowering
// wants to see the integers). Each value on the way must have one reader. lower_conv does the same and
// absorbs nothing.
#include "passes/fuse_tail.h"
#include "passes/list.h"

namespace narrow::passes {
namespace {

bool is_fusable(const Graph& graph, const Node* node) {
  (void)graph;
  if (node->op() != Op::Conv || !is_constant_weight(node->input(1))) return false;
  if (node->input(2) != nullptr && !is_constant_weight(node->input(2))) return false;
  const ir::TensorType& type = node->input(0)->type;
  return type.is_static() && type.rank() == 4 && node->output()->type.is_static() &&
         node->string_attr("auto_pad", "NOTSET") == "NOTSET";
}

Attributes conv_attributes(const Node* conv) {
  return {{"strides", conv->ints_attr("strides", {1, 1})},
          {"pads", conv->ints_attr("pads", {0, 0, 0, 0})},
          {"dilations", conv->ints_attr("dilations", {1, 1})},
          {"group", conv->int_attr("group", 1)}};
}

void fuse(Graph& graph, Node* conv, const Tail& tail) {
  Attributes attrs = conv_attributes(conv);
  attrs.insert(tail.activation.begin(), tail.activation.end());
  attrs["out_dtype"] = std::string(to_string(tail.result->type.dtype));
  std::vector<Value*> inputs{conv->input(0), conv->input(1), widened_bias(graph, conv->input(2)),
                             tail.residual};
  replace_with(graph, tail.result, Op::FusedConv, std::move(inputs), std::move(attrs), conv->name);
}

}  // namespace

Result<int64_t> fuse_conv(Graph& graph, const PassContext& context) {
  (void)context;
  int64_t fused = 0;
  for (Node* conv : graph.nodes_of(Op::Conv)) {
    if (graph.is_dead(conv) || !is_fusable(graph, conv)) continue;
    fuse(graph, conv, follow_tail(graph, conv->output(), is_fusable));
    ++fused;
  }
  return fused;
}

Result<int64_t> lower_conv(Graph& graph, const PassContext& context) {
  (void)context;
  int64_t lowered = 0;
  for (Node* conv : graph.nodes_of(Op::Conv)) {
    if (graph.is_dead(conv) || !is_fusable(graph, conv)) continue;
    fuse(graph, conv, {.result = conv->output(), .residual = nullptr, .activation = {}});
    ++lowered;
  }
  return lowered;
}

}  // namespace narrow::passes
