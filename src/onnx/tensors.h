// TensorProto <-> Tensor.
#pragma once

#include <string>

#include "base/result.h"
#include "onnx/load.h"
#include "onnx/proto.h"
#include "tensor/tensor.h"

namespace narrow::onnx {

/// `subject` names the tensor in errors: "initializer 'w'". Data lie in raw_data, in the typed field of the
/// element type, or in an external file, which is borrowed where its alignment allows. Errors: invalid_model
/// (sizes disagree, out of the file's bounds), unsupported (element type, segments).
Result<Tensor> read_tensor(const pb::TensorProto& proto, const std::string& subject, ExternalFiles& files);

/// An element type's ONNX name, for messages: "INT4", or "element type 99".
std::string element_type_name(int64_t code);

/// Little-endian raw_data; any defined element type.
void write_tensor(const Tensor& tensor, const std::string& name, pb::TensorProto* proto);

}  // namespace narrow::onnx
