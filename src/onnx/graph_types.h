// ValueInfoProto -> ir::TensorType.
#pragma once

#include <map>
#include <set>
#include <string>

#include "base/result.h"
#include "ir/graph.h"
#include "onnx/proto.h"

namespace narrow::onnx {

/// Symbols of dimensions, written with the letters the text form allows; different symbols stay different.
class Symbols {
 public:
  std::string plain(const std::string& dim_param);

 private:
  std::map<std::string, std::string> known_;
  std::set<std::string> taken_;
};

/// Dimensions of 0 or less are unknown, as is a missing shape's rank.
/// Errors: unsupported (sequences, maps, element types narrow has no tensors of), invalid_model (no type).
Result<ir::TensorType> read_type(const pb::ValueInfoProto& info, const std::string& subject,
                                 Symbols& symbols);
void write_type(const ir::TensorType& type, const std::string& name, pb::ValueInfoProto* info);

}  // namespace narrow::onnx
