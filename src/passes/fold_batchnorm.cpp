// BN(Conv(x, W, b))  ->  Conv(x, W', b')        also ConvTranspose and Gemm
//   g = gamma / sqrt(var + eps);  W'[o,...] = W[o,...] * g[o];  b'[o] = (b[o] - mean[o]) * g[o] + beta[o]
// Left alone when the layer has another reader, or W or the statistics are not constants. A
// BatchNormalization before a convolution stays: its shift would leak into the padding.
#include "passes/batchnorm.h"
#include "passes/list.h"
#include "passes/scale_layer.h"

namespace narrow::passes {

Result<int64_t> fold_batchnorm(Graph& graph, const PassContext& context) {
  (void)context;
  int64_t folded = 0;
  for (Node* bn : graph.nodes_of(Op::BatchNormalization)) {
    if (graph.is_dead(bn)) continue;
    const auto affine = affine_of_batchnorm(graph, bn);
    if (!affine || foldable_channels(graph, bn->input(0)) != static_cast<int64_t>(affine->scale.size()))
      continue;
    scale_layer(graph, bn->input(0)->producer(), affine->scale, affine->shift, bn->output());
    ++folded;
  }
  return folded;
}

}  // namespace narrow::passes
