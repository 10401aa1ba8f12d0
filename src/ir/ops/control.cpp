// If, Loop, Scan: graphs inside a node. What a body reads from outside it gets as inputs behind its own,
// which are inputs of the node behind its own too; the attribute "captures" counts them. Shapes may change
// from step to step, so bodies know element types only.
#include <fmt/format.h>

#include "ir/ops/families.h"
#include "ir/ops/support.h"

namespace narrow::ir::ops {
namespace {

struct Body {
  const Graph* graph;
  int64_t captures;
};

Result<Body> body_of(const NodeView& view, const char* attr) {
  const auto it = view.node().attrs.find(attr);
  const auto* graph =
      it == view.node().attrs.end() ? nullptr : std::get_if<std::shared_ptr<Graph>>(&it->second);
  if (graph == nullptr || *graph == nullptr)
    return view.error(fmt::format("a graph as attribute {}", attr), "none");
  const int64_t captures = view.node().int_attr("captures", 0);
  if (captures < 0 || captures > view.inputs())
    return view.error(fmt::format("captures in [0, {}]", view.inputs()), std::to_string(captures));
  return Body{graph->get(), captures};
}

/// Inputs of the node that are not captured.
int64_t own_inputs(const NodeView& view, const Body& body) { return view.inputs() - body.captures; }

Status check_body(const NodeView& view, const Body& body, int64_t inputs, int64_t least_outputs) {
  if (std::ssize(body.graph->inputs()) == inputs + body.captures &&
      std::ssize(body.graph->outputs()) >= least_outputs)
    return {};
  return view.error(fmt::format("a body of {} inputs and at least {} outputs", inputs, least_outputs),
                    fmt::format("{} and {}", std::ssize(body.graph->inputs()) - body.captures,
                                body.graph->outputs().size()));
}

/// What both branches agree on.
Result<TensorType> joined(const NodeView& view, const TensorType& a, const TensorType& b) {
  if (a.dtype != b.dtype)
    return view.error("branches of one element type", ir::to_string(a) + " and " + ir::to_string(b));
  if (!a.ranked || !b.ranked || a.rank() != b.rank()) return TensorType::unranked(a.dtype);
  Dims dims = a.dims;
  for (size_t i = 0; i < dims.size(); ++i)
    if (!(a.dims[i] == b.dims[i]) || !a.dims[i].known()) dims[i] = Dim();
  return ranked(a.dtype, std::move(dims));
}

Inferred infer_if(const NodeView& view) {
  NARROW_TRY(const Body then_body, body_of(view, "then_branch"));
  NARROW_TRY(const Body else_body, body_of(view, "else_branch"));
  NARROW_DO(check_body(view, then_body, 0, 1));
  NARROW_DO(check_body(view, else_body, 0, std::ssize(then_body.graph->outputs())));
  Types types;
  for (size_t i = 0; i < then_body.graph->outputs().size(); ++i) {
    NARROW_TRY(TensorType type, joined(view, then_body.graph->outputs()[i].value->type,
                                       else_body.graph->outputs()[i].value->type));
    types.push_back(std::move(type));
  }
  return types;
}

/// The outputs of the body from `first` on, as element types.
Types output_types(const Body& body, size_t first) {
  Types types;
  for (size_t i = first; i < body.graph->outputs().size(); ++i)
    types.push_back(TensorType::unranked(body.graph->outputs()[i].value->type.dtype));
  return types;
}

Inferred infer_loop(const NodeView& view) {
  NARROW_TRY(const Body body, body_of(view, "body"));
  const int64_t carried = own_inputs(view, body) - 2;
  if (carried < 0) return view.error("inputs M and cond, which may be absent", std::to_string(view.inputs()));
  NARROW_DO(check_body(view, body, 2 + carried, 1 + carried));
  if (body.graph->outputs()[0].value->type.dtype != DType::boolean)
    return view.error("a body whose first output is bool",
                      ir::to_string(body.graph->outputs()[0].value->type));
  return output_types(body, 1);
}

Inferred infer_scan(const NodeView& view) {
  NARROW_TRY(const Body body, body_of(view, "body"));
  const int64_t inputs = own_inputs(view, body), scanned = view.node().int_attr("num_scan_inputs", 0);
  if (scanned < 1 || scanned > inputs)
    return view.error(fmt::format("num_scan_inputs in [1, {}]", inputs), std::to_string(scanned));
  NARROW_DO(check_body(view, body, inputs, inputs - scanned));
  return output_types(body, 0);
}

}  // namespace

Schemas control_ops() {
  const Parameter any{"inputs", kAny, kOptional, true};
  return {{.op = Op::If,
           .domain = "",
           .since = 1,
           .doc = "then_branch() where cond, else else_branch()",
           .inputs = {{"cond", kBool}, any},
           .outputs = {{"outputs", kAny, kOptional, true}},
           .infer = infer_if},
          {.op = Op::Loop,
           .domain = "",
           .since = 1,
           .doc = "cond, v... = body(i, cond, v...) at most M times while cond; further outputs are stacked",
           .inputs = {{"M", kS64, kOptional}, {"cond", kBool, kOptional}, any},
           .outputs = {{"v_final_and_scan_outputs", kAny, kOptional, true}},
           .infer = infer_loop},
          {.op = Op::Scan,
           .domain = "",
           .since = 9,
           .doc = "state..., y... = body(state..., x...) over slices of the last num_scan_inputs inputs",
           .inputs = {any},
           .outputs = {{"final_state_and_scan_outputs", kAny, kOptional, true}},
           .infer = infer_scan}};
}

}  // namespace narrow::ir::ops
