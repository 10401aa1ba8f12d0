// Tiny ONNX models, built in the test.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "onnx/import.h"
#include "onnx/proto.h"

namespace narrow::onnx {

struct TestModel {
  pb::ModelProto proto;

  explicit TestModel(int64_t opset = 23, int64_t ir_version = 10) {
    proto.set_ir_version(ir_version);
    proto.mutable_graph()->set_name("test");
    pb::OperatorSetIdProto* import = proto.add_opset_import();
    import->set_domain("");
    import->set_version(opset);
  }

  pb::GraphProto& graph() { return *proto.mutable_graph(); }

  TestModel& input(const std::string& name, const std::vector<int64_t>& dims,
                   int32_t type = pb::TensorProto::FLOAT) {
    pb::ValueInfoProto* info = graph().add_input();
    info->set_name(name);
    auto* tensor = info->mutable_type()->mutable_tensor_type();
    tensor->set_elem_type(type);
    auto* shape = tensor->mutable_shape();
    for (const int64_t d : dims) shape->add_dim()->set_dim_value(d);
    return *this;
  }

  TestModel& output(const std::string& name) {
    graph().add_output()->set_name(name);
    return *this;
  }

  TestModel& floats(const std::string& name, const std::vector<int64_t>& dims,
                    const std::vector<float>& values) {
    pb::TensorProto& tensor = initializer(name, dims, pb::TensorProto::FLOAT);
    tensor.mutable_float_data()->Add(values.begin(), values.end());
    return *this;
  }

  TestModel& ints(const std::string& name, const std::vector<int64_t>& dims,
                  const std::vector<int64_t>& values) {
    pb::TensorProto& tensor = initializer(name, dims, pb::TensorProto::INT64);
    tensor.mutable_int64_data()->Add(values.begin(), values.end());
    return *this;
  }

  pb::TensorProto& initializer(const std::string& name, const std::vector<int64_t>& dims, int32_t type) {
    pb::TensorProto* tensor = graph().add_initializer();
    tensor->set_name(name);
    tensor->set_data_type(type);
    tensor->mutable_dims()->Add(dims.begin(), dims.end());
    return *tensor;
  }

  pb::NodeProto& node(const std::string& op, const std::vector<std::string>& inputs,
                      const std::vector<std::string>& outputs, const std::string& domain = "") {
    pb::NodeProto* proto_node = graph().add_node();
    fill(*proto_node, op, inputs, outputs, domain);
    return *proto_node;
  }

  static void fill(pb::NodeProto& node, const std::string& op, const std::vector<std::string>& inputs,
                   const std::vector<std::string>& outputs, const std::string& domain = "") {
    node.set_op_type(op);
    node.set_domain(domain);
    for (const std::string& name : inputs) node.add_input(name);
    for (const std::string& name : outputs) node.add_output(name);
  }

  Result<ImportedModel> import(const std::filesystem::path& folder = {}) const {
    const std::string text = proto.SerializeAsString();
    return import_bytes(std::as_bytes(std::span(text)), folder);
  }
};

inline pb::AttributeProto& attribute(pb::NodeProto& node, const std::string& name,
                                     pb::AttributeProto::AttributeType type) {
  pb::AttributeProto* attr = node.add_attribute();
  attr->set_name(name);
  attr->set_type(type);
  return *attr;
}
inline void set_int(pb::NodeProto& node, const std::string& name, int64_t value) {
  attribute(node, name, pb::AttributeProto::INT).set_i(value);
}
inline void set_float(pb::NodeProto& node, const std::string& name, float value) {
  attribute(node, name, pb::AttributeProto::FLOAT).set_f(value);
}
inline void set_string(pb::NodeProto& node, const std::string& name, const std::string& value) {
  attribute(node, name, pb::AttributeProto::STRING).set_s(value);
}
inline void set_ints(pb::NodeProto& node, const std::string& name, const std::vector<int64_t>& values) {
  attribute(node, name, pb::AttributeProto::INTS).mutable_ints()->Add(values.begin(), values.end());
}
inline void set_floats(pb::NodeProto& node, const std::string& name, const std::vector<float>& values) {
  attribute(node, name, pb::AttributeProto::FLOATS).mutable_floats()->Add(values.begin(), values.end());
}

}  // namespace narrow::onnx
