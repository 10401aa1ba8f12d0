#include "tensorrt/rules.h"

#include "base/error.h"
#include "tensorrt/context.h"

namespace narrow::tensorrt {
namespace {

using ir::Op;

void check_graph(Context& context, const ir::Graph& graph) {
  for (const ir::Node* node : graph.nodes()) {
    if (is_linear(*node)) {
      check_parameters(context, *node);
      check_granularity(context, *node);
    }
    check_neighbours(context, *node);
    for (const auto& [name, attribute] : node->attrs)
      if (const auto* body = std::get_if<std::shared_ptr<ir::Graph>>(&attribute); body != nullptr && *body)
        check_graph(context, **body);
  }
}

}  // namespace

bool is_linear(const ir::Node& node) {
  return node.op() == Op::QuantizeLinear || node.op() == Op::DequantizeLinear;
}

const ir::Value& codes_of(const ir::Node& linear) {
  return linear.op() == Op::QuantizeLinear ? *linear.output() : *linear.input(0);
}

const ir::Value& reals_of(const ir::Node& linear) {
  return linear.op() == Op::QuantizeLinear ? *linear.input(0) : *linear.output();
}

bool is_weight(const ir::Value& value) {
  const ir::Value* from = &value;
  while (!from->is_constant()) {
    const ir::Node* node = from->producer();
    if (node == nullptr || node->input(0) == nullptr) return false;
    switch (node->op()) {
      case Op::QuantizeLinear:
      case Op::DequantizeLinear:
      case Op::Cast:
      case Op::Transpose:
      case Op::Reshape:
      case Op::Identity:
        from = node->input(0);
        break;
      default:
        return false;
    }
  }
  return true;
}

bool has_many_scales(const ir::Node& linear) {
  const ir::TensorType& scale = linear.input(1)->type;
  if (!scale.ranked || scale.dims.empty()) return false;
  return scale.dims.size() > 1 || !(scale.dims[0] == ir::Dim(1));
}

std::string Violation::message() const {
  return Error{.subject = node, .expected = expected, .got = got, .hint = remedy}.message();
}

std::vector<Violation> check_rules(const ir::Graph& graph, int64_t opset) {
  std::vector<Violation> found;
  Context context{opset, found};
  check_graph(context, graph);
  return found;
}

}  // namespace narrow::tensorrt
