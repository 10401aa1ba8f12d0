// FusedConv and FusedMatMul nodes as the shapes kernels/conv computes.
#pragma once

#include "base/result.h"
#include "ir/graph.h"
#include "kernels/conv/conv.h"

namespace narrow::quant::gradient {

/// Of a FusedConv over images that lie channels last; of a FusedMatMul (a 1x1 convolution over a row of
/// pixels). Types are static. Errors: unsupported, naming the node.
Result<kernels::ConvShape> conv_shape(const ir::Node& node);
Result<kernels::ConvShape> product_shape(const ir::Node& node);

}  // namespace narrow::quant::gradient
