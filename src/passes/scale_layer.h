// y = layer(x) * scale[c] + shift[c] as one layer: what BatchNormalization and per-channel arithmetic fold
// into.
#pragma once

#include "passes/match.h"

namespace narrow::passes {

/// Channels of a Conv, ConvTranspose or Gemm with constant float weights (and bias) and one reader; 0: not
/// such a layer.
int64_t foldable_channels(const Graph& graph, const Value* output);

/// Puts layer(x) * scale + shift (one entry per channel) in the place of `old`, which read it.
///   W'[o,...] = W[o,...] * scale[o];   b'[o] = b[o] * scale[o] + shift[o]      (in double, rounded once)
/// Precondition: foldable_channels(layer output) equals both sizes.
void scale_layer(Graph& graph, Node* layer, const std::vector<double>& scale,
                 const std::vector<double>& shift, Value* old);

}  // namespace narrow::passes
