// One node of the file -> the graph under construction, with the bodies of If, Loop and Scan.
#pragma once

#include "onnx/builder.h"
#include "onnx/load.h"

namespace narrow::onnx {

/// Reads the attributes, rewrites the node to its newest form and adds it. Errors: unsupported (an operator
/// narrow does not know), invalid_model, both naming the node.
Status add_node(const SourceNode& node, GraphBuilder& builder, ExternalFiles& files);

}  // namespace narrow::onnx
