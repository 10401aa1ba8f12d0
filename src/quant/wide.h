// Layers named by people that get a format of their own: what --wide and `wide` in narrow.toml list.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "ir/graph.h"
#include "quant/plan_formats.h"

namespace narrow::quant {

/// "LAYER" or "LAYER=FORMAT": an ONNX node name (or the name of its first result, where it has none) and fp32
/// (the standard), fp16, bf16, int8-dynamic, int4, int3, int2 or w4a8. Errors: usage, naming the layers of
/// `graph` whose names are nearest.
Result<Wide> parse_wide(const ir::Graph& graph, const std::vector<std::string>& texts);

/// "conv_1=bf16", as parse_wide() reads it.
std::string wide_text(const std::string& layer, NodeFormat format);

/// What people call a node: its ONNX name, or that of its first result where it has none.
const std::string& name_of(const ir::Node& node);

}  // namespace narrow::quant
