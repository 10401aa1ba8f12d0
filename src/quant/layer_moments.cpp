#include "quant/layer_moments.h"

#include <optional>

#include "quant/regions.h"

namespace narrow::quant {
namespace {

/// Where the node's result is added to a value that both models know by now.
std::optional<ir::Use> residual_of(const LayerWalk& walk, const ir::Node& node) {
  const ir::Value* result = node.output();
  while (result->uses().size() == 1 && result->uses()[0].node->op() == ir::Op::Add) {
    const ir::Use use = result->uses()[0];
    const ir::Value* other = use.node->input(1 - use.index);
    if (other->is_constant()) {  // a bias
      result = use.node->output();
      continue;
    }
    const bool known = other != result && other->type == result->type && walk.original(other, 0) != nullptr;
    return known ? std::optional<ir::Use>({use.node, 1 - use.index}) : std::nullopt;
  }
  return std::nullopt;
}

/// r - r'
Tensor missing(const LayerWalk& walk, const FakeQuantize& rounding, const ir::Use& residual, int64_t batch) {
  const ir::Value* value = residual.node->input(residual.index);
  const Tensor quantized = rounding.read_by(*residual.node, residual.index, *walk.quantized(value, batch));
  Tensor difference = walk.original(value, batch)->clone();
  const auto subtrahend = quantized.data<float>();
  auto out = difference.mutable_data<float>();
  for (size_t i = 0; i < out.size(); ++i) out[i] -= subtrahend[i];
  return difference;
}

}  // namespace

bool takes_bias(const ir::Node& node, int64_t channels) {
  if (node.op() == ir::Op::MatMul) return false;
  const ir::Value* bias = node.input(2);
  return bias == nullptr ||
         (bias->is_constant() && bias->constant().rank() == 1 && bias->constant().elements() == channels);
}

std::vector<Moments> collect_moments(const LayerWalk& walk, const FakeQuantize& rounding,
                                     const ir::Node& node, bool residual, ThreadPool& pool) {
  MomentSums sums(node, walk.batches());
  const std::optional<ir::Use> added = residual ? residual_of(walk, node) : std::nullopt;
  for (int64_t b = 0; b < walk.batches(); ++b)
    sums.add(walk.original_input(b), rounding.read_by(node, 0, walk.quantized_input(b)),
             added ? missing(walk, rounding, *added, b) : Tensor(), pool);
  return sums.finish();
}

std::vector<float> mean_shift(const Moments& moments, const std::vector<float>& original,
                              const std::vector<float>& changed) {
  const auto n = original.size() / static_cast<size_t>(moments.k);
  std::vector<double> shift(n, 0);
  for (size_t k = 0; k < static_cast<size_t>(moments.k); ++k)
    for (size_t c = 0; c < n; ++c)
      shift[c] += static_cast<double>(original[k * n + c]) * moments.mean[k] -
                  static_cast<double>(changed[k * n + c]) * moments.mean_quantized[k];
  for (size_t c = 0; c < moments.mean_residual.size(); ++c) shift[c] += moments.mean_residual[c];
  return {shift.begin(), shift.end()};
}

}  // namespace narrow::quant
