#include "quant/sequential_rounding.h"

#include <optional>

#include "quant/apply_steps.h"
#include "quant/gptq.h"
#include "quant/layer_weights.h"
#include "quant/moments.h"
#include "quant/refine_codes.h"
#include "quant/regions.h"
#include "quant/rounding_problem.h"
#include "quant/variance_fit.h"

namespace narrow::quant {
namespace {

/// The node's bias is a vector of ours to change, or may become one.
bool takes_bias(const ir::Node& node, int64_t channels) {
  if (node.op() == ir::Op::MatMul) return false;
  const ir::Value* bias = node.input(2);
  return bias == nullptr ||
         (bias->is_constant() && bias->constant().rank() == 1 && bias->constant().elements() == channels);
}

/// With so few weights a column, GPTQ is sometimes worse than the nearest codes: both are tried.
constexpr int64_t kFewWeights = 25;

class Rounder {
 public:
  Rounder(LayerWalk& walk, const FakeQuantize& rounding, Recipe& recipe, const SequentialOptions& options,
          ThreadPool& pool)
      : walk_(walk), rounding_(rounding), recipe_(recipe), options_(options), pool_(pool) {}

  RoundedLayer round(const ir::Node& node) {
    LayerWeights weights(node, recipe_);
    const HeavyShape& shape = weights.shape();
    const bool centred = takes_bias(node, shape.groups * shape.n);
    const std::vector<Moments> moments = collect(node);
    std::vector<RoundedLayer> parts(static_cast<size_t>(shape.groups), RoundedLayer{key_of(node)});
    std::vector<std::vector<float>> shift(parts.size());
    std::vector<GridWeights> found(parts.size());
    std::vector<std::vector<float>> factors(parts.size());
    pool_.run(shape.groups, [&](int64_t g) {
      const auto at = static_cast<size_t>(g);
      found[at] = round_group(weights, g, moments[at], centred, parts[at]);
      std::vector<float> values = values_of(size_of(weights), weights.grid(), found[at]);
      if (options_.variance && !weights.has_groups()) {
        factors[at] = variance_factors(moments[at], weights.original(g), values, centred);
        scale_columns(values, factors[at]);
      }
      shift[at] = mean_shift(weights, g, moments[at], values);
    });
    RoundedLayer layer{key_of(node)};
    for (size_t g = 0; g < parts.size(); ++g) {
      weights.store(static_cast<int64_t>(g), found[g]);
      layer.nearest += parts[g].nearest;
      layer.chosen += parts[g].chosen;
    }
    if (centred) correct(node, shift);
    scale_channels(node, factors);
    const LayerWeights final(node, recipe_);
    walk_.set_parameters(key_of(node), final.real(), corrected_bias(recipe_, node, shape.groups * shape.n));
    return layer;
  }

 private:
  std::vector<Moments> collect(const ir::Node& node) {
    MomentSums sums(node, walk_.batches());
    const std::optional<ir::Use> residual = options_.residual ? residual_of(node) : std::nullopt;
    for (int64_t b = 0; b < walk_.batches(); ++b)
      sums.add(walk_.original_input(b), rounding_.read_by(node, 0, walk_.quantized_input(b)),
               residual ? missing(*residual, b) : Tensor(), pool_);
    return sums.finish();
  }

  /// Where the node's result is added to a value that both models know by now.
  std::optional<ir::Use> residual_of(const ir::Node& node) const {
    const ir::Value* result = node.output();
    while (result->uses().size() == 1 && result->uses()[0].node->op() == ir::Op::Add) {
      const ir::Use use = result->uses()[0];
      const ir::Value* other = use.node->input(1 - use.index);
      if (other->is_constant()) {  // a bias
        result = use.node->output();
        continue;
      }
      const bool known =
          other != result && other->type == result->type && walk_.original(other, 0) != nullptr;
      return known ? std::optional<ir::Use>({use.node, 1 - use.index}) : std::nullopt;
    }
    return std::nullopt;
  }

  /// r - r'
  Tensor missing(const ir::Use& residual, int64_t batch) const {
    const ir::Value* value = residual.node->input(residual.index);
    const Tensor quantized =
        rounding_.read_by(*residual.node, residual.index, *walk_.quantized(value, batch));
    Tensor difference = walk_.original(value, batch)->clone();
    const auto subtrahend = quantized.data<float>();
    auto out = difference.mutable_data<float>();
    for (size_t i = 0; i < out.size(); ++i) out[i] -= subtrahend[i];
    return difference;
  }

  GridWeights round_group(const LayerWeights& weights, int64_t group, const Moments& moments, bool centred,
                          RoundedLayer& figures) {
    const RoundingProblem problem =
        make_problem(moments, weights.original(group), {.damping = options_.damping, .centred = centred});
    const WeightGrid& grid = weights.grid();
    const GridWeights nearest = weights.stored(group);
    const auto error = [&](const GridWeights& w) { return error_of(problem, values_of(problem, grid, w)); };
    GridWeights best = nearest;
    figures.nearest = figures.chosen = error(nearest);
    const auto consider = [&](GridWeights found) {
      refine_codes(problem, grid, {.scales = weights.has_groups()}, found, pool_);
      const double left = error(found);
      if (left < figures.chosen) figures.chosen = left, best = std::move(found);
    };
    consider(gptq(problem, grid, weights.has_groups() ? GridWeights() : nearest, pool_));
    if (problem.k <= kFewWeights) consider(nearest);
    return best;
  }

  static RoundingProblem size_of(const LayerWeights& weights) {
    RoundingProblem size;
    size.k = weights.shape().k, size.n = weights.shape().n;
    return size;
  }

  /// Result channels lie group after group.
  void scale_channels(const ir::Node& node, const std::vector<std::vector<float>>& factors) {
    const auto stored = recipe_.weights.find(key_of(node));
    if (stored == recipe_.weights.end()) return;
    size_t channel = 0;
    for (const std::vector<float>& group : factors)
      for (const float factor : group) stored->second.scale[channel++] *= factor;
  }

  /// Of each result: w^T mean(x) + mean(r) - v^T mean(x') - mean(r').
  static std::vector<float> mean_shift(const LayerWeights& weights, int64_t group, const Moments& moments,
                                       const std::vector<float>& values) {
    const HeavyShape& shape = weights.shape();
    const std::vector<float> original = weights.original(group);
    std::vector<double> shift(static_cast<size_t>(shape.n), 0);
    for (int64_t k = 0; k < shape.k; ++k)
      for (int64_t n = 0; n < shape.n; ++n) {
        const auto at = static_cast<size_t>(k * shape.n + n);
        shift[static_cast<size_t>(n)] +=
            static_cast<double>(original[at]) * moments.mean[static_cast<size_t>(k)] -
            static_cast<double>(values[at]) * moments.mean_quantized[static_cast<size_t>(k)];
      }
    for (size_t n = 0; n < moments.mean_residual.size(); ++n) shift[n] += moments.mean_residual[n];
    return {shift.begin(), shift.end()};
  }

  void correct(const ir::Node& node, const std::vector<std::vector<float>>& shift) {
    std::vector<float>& correction = recipe_.bias_corrections[key_of(node)];
    correction.clear();
    for (const std::vector<float>& part : shift)
      correction.insert(correction.end(), part.begin(), part.end());
  }

  LayerWalk& walk_;
  const FakeQuantize& rounding_;
  Recipe& recipe_;
  const SequentialOptions& options_;
  ThreadPool& pool_;
};

}  // namespace

Result<std::vector<RoundedLayer>> round_sequentially(const ir::Graph& graph, Recipe& recipe,
                                                     const data::Dataset& dataset,
                                                     std::shared_ptr<ThreadPool> pool,
                                                     const SequentialOptions& options,
                                                     const Progress& progress) {
  Recipe better = recipe;
  std::set<std::string> layers;
  for (const ir::Node* node : graph.nodes())
    if (!node->outputs().empty() && LayerWeights::stores(recipe, *node)) layers.insert(key_of(*node));
  FakeQuantize rounding(graph, better);
  NARROW_TRY(LayerWalk walk, LayerWalk::create(graph, layers, rounding, dataset, pool, options.walk));
  Rounder rounder(walk, rounding, better, options, *pool);
  std::vector<RoundedLayer> done;
  for (size_t s = 0; s < walk.stages().size(); ++s) {
    report(progress, "round weights", static_cast<int64_t>(s), static_cast<int64_t>(walk.stages().size()));
    NARROW_DO(walk.advance(s));
    for (const ir::Node* node : walk.stages()[s].nodes) done.push_back(rounder.round(*node));
  }
  report(progress, "round weights", static_cast<int64_t>(walk.stages().size()),
         static_cast<int64_t>(walk.stages().size()));
  recipe = std::move(better);
  return done;
}

void take_rounding(const Recipe& from, Recipe& to) {
  const auto same_format = [&](const std::string& key) {
    const auto node = from.nodes.find(key);
    return node != from.nodes.end() && node->second.format == to.nodes.at(key).format;
  };
  const auto take_bias = [&](const std::string& key) {
    if (const auto bias = from.bias_corrections.find(key); bias != from.bias_corrections.end())
      to.bias_corrections[key] = bias->second;
  };
  for (auto& [key, scales] : to.weights) {
    const auto codes = from.codes.find(key);
    if (codes == from.codes.end() || !same_format(key)) continue;
    scales = from.weights.at(key);
    to.codes[key] = codes->second;
    take_bias(key);
  }
  for (auto& [key, groups] : to.groups) {
    if (!same_format(key) || !from.groups.contains(key)) continue;
    groups = from.groups.at(key);
    take_bias(key);
  }
}

}  // namespace narrow::quant
