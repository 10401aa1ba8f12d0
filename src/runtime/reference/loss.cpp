// Losses over classes: NegativeLogLikelihoodLoss, SoftmaxCrossEntropyLoss. Classes lie in axis 1.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "runtime/reference/functions.h"

namespace narrow::runtime::reference {
namespace {

/// log softmax over axis 1, in place.
void log_softmax(std::vector<double>& x, const AxisView& v) {
  for (int64_t line = 0; v.size > 0 && line < v.outer * v.inner; ++line) {
    double* at = x.data() + line / v.inner * v.size * v.inner + line % v.inner;
    double max = at[0], sum = 0;
    for (int64_t c = 1; c < v.size; ++c) max = std::max(max, at[c * v.inner]);
    for (int64_t c = 0; c < v.size; ++c) sum += std::exp(at[c * v.inner] - max);
    for (int64_t c = 0; c < v.size; ++c) at[c * v.inner] -= max + std::log(sum);
  }
}

/// loss = -w[t] x[t]; the mean divides by the sum of the weights.
Outputs nll(const ir::Node& node, Inputs inputs, const std::vector<double>& x) {
  const Tensor &scores = *inputs[0], &targets = *inputs[1];
  const AxisView v = view_axis(scores.shape(), 1);
  const std::vector<int64_t> target = to_ints(targets);
  std::vector<double> weights(static_cast<size_t>(v.size), 1);
  if (const Tensor* given = optional_input(inputs, 2)) weights = to_doubles(*given);
  if (std::ssize(weights) != v.size || std::ssize(target) != v.outer * v.inner)
    return invalid(node, fmt::format("{} weights, {} targets", v.size, v.outer * v.inner),
                   fmt::format("{} and {}", weights.size(), target.size()));
  const bool ignores = node.has("ignore_index");
  const int64_t ignored = node.int_attr("ignore_index", 0);
  std::vector<double> losses(target.size(), 0);
  double sum = 0, divisor = 0;
  for (size_t i = 0; i < target.size(); ++i) {
    const int64_t t = target[i];
    if (ignores && t == ignored) continue;
    if (t < 0 || t >= v.size)
      return invalid(node, fmt::format("targets in [0, {})", v.size), std::to_string(t));
    const auto line = static_cast<int64_t>(i);
    const double w = weights[static_cast<size_t>(t)];
    losses[i] = -w * x[static_cast<size_t>((line / v.inner * v.size + t) * v.inner + line % v.inner)];
    sum += losses[i];
    divisor += w;
  }
  const std::string reduction = node.string_attr("reduction", "mean");
  if (reduction == "none") return one(cast(Tensor::of(targets.shape(), losses), scores.dtype()));
  return one(cast(Tensor::scalar(reduction == "mean" ? sum / divisor : sum), scores.dtype()));
}

Status check(const ir::Node& node, const Tensor& scores) {
  if (scores.rank() < 2) return invalid(node, "scores [N,C,d...]", to_string(scores.shape()));
  return {};
}

}  // namespace

Outputs eval_nll_loss(const ir::Node& node, Inputs inputs) {
  NARROW_DO(check(node, *inputs[0]));
  return nll(node, inputs, to_doubles(*inputs[0]));
}

Outputs eval_softmax_cross_entropy(const ir::Node& node, Inputs inputs) {
  const Tensor& scores = *inputs[0];
  NARROW_DO(check(node, scores));
  std::vector<double> x = to_doubles(scores);
  log_softmax(x, view_axis(scores.shape(), 1));
  NARROW_TRY(std::vector<Tensor> outputs, nll(node, inputs, x));
  outputs.push_back(cast(Tensor::of(scores.shape(), x), scores.dtype()));
  return outputs;
}

}  // namespace narrow::runtime::reference
