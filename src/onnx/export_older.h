// Operators that came after the opset written, said with older ones.
#pragma once

#include "base/result.h"
#include "ir/graph.h"

namespace narrow::onnx {

/// Whether write_older() can say it.
bool has_older_form(ir::Op op);

/// Rewrites the graph, its bodies too:
///   Swish(x; alpha)  ->  Mul(x, Sigmoid(Mul(x, alpha))), the inner product where alpha is not 1
/// The result keeps its name. To be called once nothing but FP32 is computed with, as what it says in several
/// steps is rounded once only.
Status write_older(ir::Graph& graph);

}  // namespace narrow::onnx
