#include "onnx/export_older.h"

#include <string>
#include <utility>
#include <vector>

namespace narrow::onnx {
namespace {

using ir::Op;

ir::Value* add_node_like(ir::Graph& graph, const ir::Value* like, Op op, std::vector<ir::Value*> inputs,
                         const std::string& name) {
  ir::Node* node = graph.add_node(op, std::move(inputs), {like->name + "_" + name}, {},
                                  like->producer()->name.empty() ? "" : like->producer()->name + "_" + name);
  node->output()->type = like->type;
  return node->output();
}

void write_swish(ir::Graph& graph, ir::Node* swish) {
  ir::Value *x = swish->input(0), *scaled = x;
  const float alpha = swish->float_attr("alpha", 1);
  if (alpha != 1)
    scaled = add_node_like(graph, swish->output(), Op::Mul,
                           {x, graph.add_constant(swish->output()->name + "_alpha", Tensor::scalar(alpha))},
                           "scaled");
  ir::Value* gate = add_node_like(graph, swish->output(), Op::Sigmoid, {scaled}, "gate");
  graph.set_op(swish, Op::Mul);
  swish->attrs.clear();
  graph.set_input(swish, 1, gate);
}

}  // namespace

bool has_older_form(ir::Op op) { return op == Op::Swish; }

Status write_older(ir::Graph& graph) {
  for (ir::Node* node : graph.nodes()) {
    for (auto& [name, value] : node->attrs) {
      auto* body = std::get_if<std::shared_ptr<ir::Graph>>(&value);
      if (body == nullptr) continue;
      ir::Graph own = (*body)->clone();  // clones of a graph share their bodies
      NARROW_DO(write_older(own));
      *body = std::make_shared<ir::Graph>(std::move(own));
    }
    if (node->op() == Op::Swish) write_swish(graph, node);
  }
  return graph.sort();
}

}  // namespace narrow::onnx
