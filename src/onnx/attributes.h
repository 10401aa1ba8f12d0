// AttributeProto <-> ir::Attribute.
#pragma once

#include <string>

#include "base/result.h"
#include "ir/graph.h"
#include "onnx/load.h"
#include "onnx/proto.h"

namespace narrow::onnx {

/// `subject` is the node's location. Errors: invalid_model (no value), unsupported (subgraphs, sparse, types,
/// lists of tensors), naming the node and the attribute.
Result<ir::Attribute> read_attribute(const pb::AttributeProto& proto, const std::string& subject,
                                     ExternalFiles& files);
/// Error: unsupported for a subgraph.
Status write_attribute(const ir::Attribute& attribute, const std::string& name, const std::string& subject,
                       pb::AttributeProto* proto);

}  // namespace narrow::onnx
