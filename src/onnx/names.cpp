#include "onnx/names.h"

#include <string>

#include "base/printable.h"

namespace narrow::onnx {
namespace {

void fix(std::string* text) {
  if (!is_utf8(*text)) *text = as_utf8(*text);
}

void fix_all(google::protobuf::RepeatedPtrField<std::string>* texts) {
  for (std::string& text : *texts) fix(&text);
}

void fix_value(pb::ValueInfoProto& info) {
  fix(info.mutable_name());
  if (!info.type().has_tensor_type() || !info.type().tensor_type().has_shape()) return;
  for (auto& dim : *info.mutable_type()->mutable_tensor_type()->mutable_shape()->mutable_dim())
    if (dim.has_dim_param()) fix(dim.mutable_dim_param());
}

void fix_attribute(pb::AttributeProto& attribute) {
  fix(attribute.mutable_name());
  if (attribute.has_ref_attr_name()) fix(attribute.mutable_ref_attr_name());
}

void fix_node(pb::NodeProto& node) {
  fix(node.mutable_name());
  fix(node.mutable_op_type());
  fix(node.mutable_domain());
  fix(node.mutable_overload());
  fix_all(node.mutable_input());
  fix_all(node.mutable_output());
  for (pb::AttributeProto& attribute : *node.mutable_attribute()) fix_attribute(attribute);
}

void fix_graph(pb::GraphProto& graph) {
  fix(graph.mutable_name());
  for (pb::ValueInfoProto& input : *graph.mutable_input()) fix_value(input);
  for (pb::ValueInfoProto& output : *graph.mutable_output()) fix_value(output);
  for (pb::TensorProto& tensor : *graph.mutable_initializer()) fix(tensor.mutable_name());
  for (pb::NodeProto& node : *graph.mutable_node()) fix_node(node);
}

void fix_function(pb::FunctionProto& function) {
  fix(function.mutable_name());
  fix(function.mutable_domain());
  fix(function.mutable_overload());
  fix_all(function.mutable_input());
  fix_all(function.mutable_output());
  fix_all(function.mutable_attribute());
  for (pb::AttributeProto& attribute : *function.mutable_attribute_proto()) fix_attribute(attribute);
  for (auto& import : *function.mutable_opset_import()) fix(import.mutable_domain());
  for (pb::NodeProto& node : *function.mutable_node()) fix_node(node);
}

}  // namespace

void make_names_utf8(pb::ModelProto& model) {
  fix(model.mutable_producer_name());
  fix(model.mutable_producer_version());
  for (auto& import : *model.mutable_opset_import()) fix(import.mutable_domain());
  for (pb::FunctionProto& function : *model.mutable_functions()) fix_function(function);
  if (model.has_graph()) fix_graph(*model.mutable_graph());
}

}  // namespace narrow::onnx
