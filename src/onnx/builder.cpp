#include "onnx/builder.h"

#include "ir/schema.h"

namespace narrow::onnx {

void Draft::set_input(size_t i, ir::Value* value) {
  if (i >= inputs.size()) inputs.resize(i + 1, nullptr);
  inputs[i] = value;
}

int64_t Draft::int_attr(const std::string& name, int64_t fallback) const {
  const auto it = attrs.find(name);
  const int64_t* value = it == attrs.end() ? nullptr : std::get_if<int64_t>(&it->second);
  return value == nullptr ? fallback : *value;
}

std::string Draft::string_attr(const std::string& name) const {
  const auto it = attrs.find(name);
  const std::string* value = it == attrs.end() ? nullptr : std::get_if<std::string>(&it->second);
  return value == nullptr ? "" : *value;
}

Error Draft::invalid(std::string expected, std::string got, std::string hint) const {
  return Error{Code::invalid_model, source.location(), std::move(expected), std::move(got), std::move(hint)};
}

Error Draft::unsupported(std::string expected, std::string got, std::string hint) const {
  return Error{Code::unsupported, source.location(), std::move(expected), std::move(got), std::move(hint)};
}

ir::Value* GraphBuilder::find(const std::string& onnx_name) const {
  const auto it = by_onnx_name_.find(onnx_name);
  return it == by_onnx_name_.end() ? nullptr : it->second;
}

void GraphBuilder::define(const std::string& onnx_name, ir::Value* value) {
  value->origin = onnx_name;
  by_onnx_name_[onnx_name] = value;
}

std::string GraphBuilder::helper_name(const Draft& draft, const char* role) const {
  const std::string base = draft.source.name + "_" + role;
  std::string name = base;
  for (int64_t i = 1; reserved_.contains(name) || graph.find_value(name) != nullptr; ++i)
    name = base + "_" + std::to_string(i);
  return name;
}

ir::Value* GraphBuilder::constant(const Draft& draft, const char* role, Tensor tensor) {
  return graph.add_constant(helper_name(draft, role), std::move(tensor));
}

ir::Value* GraphBuilder::constant_ints(const Draft& draft, const char* role,
                                       const std::vector<int64_t>& values) {
  return constant(draft, role, Tensor::of(Shape{static_cast<int64_t>(values.size())}, values));
}

Result<ir::Value*> GraphBuilder::add_before(const Draft& draft, const char* role, ir::Op op,
                                            std::vector<ir::Value*> inputs, ir::Attributes attrs) {
  const std::string name = helper_name(draft, role);
  ir::Node* node = graph.add_node(op, std::move(inputs), {name}, std::move(attrs), name);
  NARROW_DO(ir::infer_types(*node));
  return node->output();
}

Status GraphBuilder::add(Draft draft) {
  std::vector<std::string> names = draft.outputs;
  for (std::string& name : names)
    if (name.empty()) name = helper_name(draft, "unused");
  ir::Node* node =
      graph.add_node(draft.op, std::move(draft.inputs), names, std::move(draft.attrs), draft.source.name);
  for (size_t i = 0; i < draft.outputs.size(); ++i)
    if (!draft.outputs[i].empty()) define(draft.outputs[i], node->output(static_cast<int>(i)));
  return ir::infer_types(*node);
}

}  // namespace narrow::onnx
