// ir::Graph -> GraphProto, the bodies of If, Loop and Scan inside it.
#pragma once

#include "base/result.h"
#include "ir/graph.h"
#include "onnx/proto.h"

namespace narrow::onnx {

/// Writes a graph of standard operators. Bodies are written inside their nodes: what they capture they read
/// by its name outside, and no name of theirs hides one outside. Errors: those of name_values and
/// write_attribute.
Status write_graph(const ir::Graph& graph, pb::GraphProto* proto);

}  // namespace narrow::onnx
