// ir::Graph -> a standard ONNX file (opset 21, IR version 10).
#pragma once

#include <filesystem>
#include <string>

#include "base/result.h"
#include "ir/graph.h"

namespace narrow::onnx {

/// The serialized model, deterministic: same graph, same bytes. A graph that holds narrow's own ops
/// (FusedConv, ...) or quantized types cannot be written: error unsupported, naming the node. bf16 and f16
/// regions are written for runtimes that compute in FP32: weights stay narrow behind a Cast to float,
/// activations pass through a Cast to the narrow type and back wherever the graph stores one.
Result<std::string> export_bytes(const ir::Graph& graph);

}  // namespace narrow::onnx
