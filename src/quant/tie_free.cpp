#include "quant/tie_free.h"

#include <algorithm>
#include <cmath>

namespace narrow::quant {
namespace {

using ir::Node;
using ir::Op;
using ir::Value;

constexpr int64_t kLargestDenominator = 1 << 14;
constexpr double kSumTolerance = 5e-3;
// Of weights: the finer one is tried first. Behind a residual of denominator 25 the finest misses one channel
// in a hundred.
constexpr double kWeightTolerances[] = {1e-3, 2e-3, 4e-3, 8e-3};

/// Clamps commute with rounding: what they bound is still the sum.
bool only_clamps(const Node& node) { return node.op() == Op::Relu || node.op() == Op::Clip; }

bool is_bias_add(const Node& add, const Value* sum) {
  const Value* other = add.input(add.input(0) == sum ? 1 : 0);
  return other != nullptr && other->is_constant();
}

}  // namespace

std::optional<Ratio> tie_free_ratio(double x, double tolerance, int64_t base) {
  for (int64_t k = 1; base * k <= kLargestDenominator; k += 2) {
    const double numerator = x * static_cast<double>(base * k), p = std::nearbyint(numerator);
    if (p >= 1 && std::fabs(p - numerator) <= tolerance * numerator)
      return Ratio{static_cast<int64_t>(p), base * k};
  }
  return {};
}

std::optional<Ratio> tie_free_weight_ratio(double x, int64_t base) {
  for (const double tolerance : kWeightTolerances)
    if (const auto ratio = tie_free_ratio(x, tolerance, base)) return ratio;
  return {};
}

const Quantization* TieFreeScales::stored(const Value* value) const {
  const auto found = recipe_.activations.find(value->name);
  return found == recipe_.activations.end() ? nullptr : &found->second;
}

/// What the clamps behind `value` make of it, while it has one reader and is not stored itself.
const Value* TieFreeScales::clamped(const Value* value) const {
  while (!regions_.stored.contains(value) && value->uses().size() == 1 && only_clamps(*value->uses()[0].node))
    value = value->uses()[0].node->output();
  return value;
}

void TieFreeScales::move_stored_sum(const Value* value) {
  const Value* sum = value;
  while (sum->producer() != nullptr && only_clamps(*sum->producer())) sum = sum->producer()->input(0);
  const Node* add = sum->producer();
  if (add == nullptr || add->op() != Op::Add) return;
  const Quantization *a = stored(add->input(0)), *b = stored(add->input(1));
  if ((a == nullptr) == (b == nullptr)) return;  // two stored operands, or a bias
  Quantization& y = recipe_.activations.at(value->name);
  const double residual = (a != nullptr ? a : b)->scale[0];
  const auto ratio = tie_free_ratio(residual / static_cast<double>(y.scale[0]), kSumTolerance);
  if (!ratio) return;
  y.scale[0] = static_cast<float>(residual / ratio->value());
  denominators_[add->output()] = ratio->q;
}

void TieFreeScales::move_weights(const Node& node, Quantization& weights) const {
  const Quantization* x = stored(node.input(0));
  const Value* sum = node.output();
  int64_t base = 1;
  while (!regions_.stored.contains(sum) && sum->uses().size() == 1 && sum->uses()[0].node->op() == Op::Add) {
    const Node* add = sum->uses()[0].node;
    if (!is_bias_add(*add, sum)) {
      const auto found = denominators_.find(add->output());
      if (found == denominators_.end()) return;
      base = found->second;
    }
    sum = add->output();
  }
  const Quantization* y = stored(clamped(sum));
  if (x == nullptr || y == nullptr) return;
  const double unit = static_cast<double>(x->scale[0]) / static_cast<double>(y->scale[0]);
  for (float& scale : weights.scale) {
    if (const auto ratio = tie_free_weight_ratio(unit * static_cast<double>(scale), base))
      scale = static_cast<float>(ratio->value() / unit);
  }
}

}  // namespace narrow::quant
