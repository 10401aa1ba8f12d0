// How values are called in an exported file.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "ir/graph.h"

namespace narrow::onnx {

struct FileNames {
  std::unordered_map<const ir::Value*, std::string> of;
  /// Graph outputs that need an Identity: ONNX lets a value have one name only.
  std::vector<ir::GraphOutput> copies;
};

/// Inputs and outputs keep their names exactly. A value behind a graph output is written under the output's
/// name, unless it is a graph input, a constant, or behind an earlier output already: then an Identity copies
/// it. Error: invalid_model when two outputs, or an output and another value's input, have one name.
Result<FileNames> name_values(const ir::Graph& graph);

}  // namespace narrow::onnx
