// bf16 and f16 values of a graph, for runtimes that compute in FP32.
#pragma once

#include "base/result.h"
#include "ir/graph.h"

namespace narrow::onnx {

/// Rewrites the graph so that bf16 and f16 appear only between two Cast nodes:
///   a constant or input w           -> Cast(w, float), read in its place
///   y = Op(...) stored as bf16      -> Op computes in float, then Cast(Cast(y, bf16), float)
///   Cast(x, bf16)                   -> Cast(Cast(x, bf16), float);  Cast(x, float) of a bf16 x -> nothing
/// Ops that only move or select elements give values that are rounded already: no Cast follows them.
/// Graph inputs and outputs keep their types. Values are equal, bit for bit, to those of a runtime that
/// computes each op in float and stores its result narrow. Error: unsupported, naming a node that cannot be
/// written this way.
Status widen_narrow_floats(ir::Graph& graph);

}  // namespace narrow::onnx
