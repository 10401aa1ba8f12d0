// BN(Conv(x, W, b))  ->  Conv(x, W', b')        also ConvTranspose and Gemm
//   g = gamma / sqrt(var + eps);  W'[o,...] = W[o,...] * g[o];  b'[o] = (b[o] - mean[o]) * g[o] + beta[o]
// BN(Concat(Conv(x, W, b), Conv(y, V, c), ...))  ->  Concat(Conv(x, W', b'), Conv(y, V', c'), ...)
// Left alone when a layer has another reader, or W or the statistics are not constants. A
// BatchNormalization before a convolution stays: its shift would leak into the padding.
#include "passes/batchnorm.h"
#include "passes/list.h"
#include "passes/scale_layer.h"

namespace narrow::passes {
namespace {

/// The Concat of channels that BatchNormalization alone reads, when all it takes are layers to fold into.
Node* concat_of_layers(const Graph& graph, const Value* value, size_t channels) {
  Node* concat = ir::producer_if_only_use(graph, value, Op::Concat);
  if (concat == nullptr || !value->type.ranked ||
      normalized_axis(concat->int_attr("axis", 0), value->type.rank()) != 1)
    return nullptr;
  size_t sum = 0;
  for (const Value* input : concat->inputs()) {
    const int64_t own = foldable_channels(graph, input);
    if (own == 0) return nullptr;
    sum += static_cast<size_t>(own);
  }
  return sum == channels ? concat : nullptr;
}

void fold_before_concat(Graph& graph, Node* concat, const Affine& affine, Value* normalized) {
  const auto part = [](const std::vector<double>& all, int64_t from, int64_t count) {
    return std::vector<double>(all.begin() + from, all.begin() + from + count);
  };
  int64_t from = 0;
  for (int i = 0; i < static_cast<int>(concat->inputs().size()); ++i) {
    Value* own = concat->input(i);
    const int64_t count = foldable_channels(graph, own);
    const std::string name = own->name + "_normalized";
    scale_layer(graph, own->producer(), part(affine.scale, from, count), part(affine.shift, from, count),
                own);
    graph.rename(concat->input(i), name);
    concat->input(i)->origin = concat->input(i)->name;  // no value of the model's is this
    from += count;
  }
  take_place(graph, normalized, concat->output());
}

}  // namespace

Result<int64_t> fold_batchnorm(Graph& graph, const PassContext& context) {
  (void)context;
  int64_t folded = 0;
  for (Node* bn : graph.nodes_of(Op::BatchNormalization)) {
    if (graph.is_dead(bn)) continue;
    const auto affine = affine_of_batchnorm(graph, bn);
    if (!affine) continue;
    if (Node* concat = concat_of_layers(graph, bn->input(0), affine->scale.size())) {
      fold_before_concat(graph, concat, *affine, bn->output());
      ++folded;
      continue;
    }
    if (foldable_channels(graph, bn->input(0)) != static_cast<int64_t>(affine->scale.size())) continue;
    scale_layer(graph, bn->input(0)->producer(), affine->scale, affine->shift, bn->output());
    ++folded;
  }
  return folded;
}

}  // namespace narrow::passes
