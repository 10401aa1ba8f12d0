// How values are called in an exported file.
#pragma once

#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "ir/graph.h"

namespace narrow::onnx {

struct FileNames {
  std::unordered_map<const ir::Value*, std::string> of;
  /// Of the graph's outputs, in their order.
  std::vector<std::string> outputs;
  /// Graph outputs that need an Identity: ONNX lets a value have one name only.
  std::vector<ir::GraphOutput> copies;
};

/// Inputs and outputs keep their names exactly. A value behind a graph output is written under the output's
/// name, unless it is a graph input, a constant, or behind an earlier output already: then an Identity copies
/// it. `taken` becomes every name in use. Error: invalid_model when two outputs, or an output and another
/// value's input, have one name.
Result<FileNames> name_values(const ir::Graph& graph, std::set<std::string>& taken);

/// Names inside the body of a node: new to the whole file (`taken`, which grows), since a body may not hide
/// what is around it. Its last inputs stand for outer values and are called as those are (`captured`); its
/// outputs are values made inside, by an Identity where they are not.
FileNames name_body(const ir::Graph& body, const std::vector<std::string>& captured,
                    std::set<std::string>& taken);

}  // namespace narrow::onnx
