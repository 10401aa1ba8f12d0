#include "quant/sequential_rounding.h"

#include "quant/activation_order.h"
#include "quant/apply_steps.h"
#include "quant/gptq.h"
#include "quant/layer_moments.h"
#include "quant/layer_weights.h"
#include "quant/refine_codes.h"
#include "quant/regions.h"
#include "quant/rounding_problem.h"
#include "quant/variance_fit.h"

namespace narrow::quant {
namespace {

/// With so few weights a column, GPTQ is sometimes worse than the nearest codes: both are tried.
constexpr int64_t kFewWeights = 25;

class Rounder {
 public:
  Rounder(LayerWalk& walk, const FakeQuantize& rounding, Recipe& recipe, const SequentialOptions& options,
          ThreadPool& pool)
      : walk_(walk), rounding_(rounding), recipe_(recipe), options_(options), pool_(pool) {}

  /// `original`: the layer as it answers; that of the quantized model has the weights to round.
  RoundedLayer round(const ir::Node& original) {
    const ir::Node& node = walk_.quantized_node(key_of(original));
    LayerWeights weights(node, recipe_);
    const HeavyShape& shape = weights.shape();
    const bool centred = takes_bias(node, shape.groups * shape.n);
    const std::vector<Moments> moments =
        collect_moments(walk_, rounding_, original, options_.residual, pool_);
    std::vector<RoundedLayer> parts(static_cast<size_t>(shape.groups), RoundedLayer{key_of(node)});
    std::vector<std::vector<float>> shift(parts.size());
    std::vector<GridWeights> found(parts.size());
    std::vector<std::vector<float>> factors(parts.size());
    pool_.run(shape.groups, [&](int64_t g) {
      const auto at = static_cast<size_t>(g);
      const std::vector<float> wanted = matrix_of(original, g);
      RoundingProblem problem = make_layer_problem(node, g, moments[at], wanted, centred);
      problem.apart = weights.apart(g);
      found[at] =
          moments[at].has_products() ? round_group(problem, weights, g, parts[at]) : weights.stored(g);
      std::vector<float> values = values_of(problem, weights.grid(g), found[at]);
      if (options_.variance && !weights.fits_scales() && moments[at].has_products()) {
        factors[at] = variance_factors(moments[at], wanted, values, centred);
        scale_columns(values, factors[at]);
      }
      shift[at] = mean_shift(moments[at], wanted, values);
    });
    RoundedLayer layer{key_of(node)};
    layer.by_error = moments.front().has_products();
    for (size_t g = 0; g < parts.size(); ++g) {
      weights.store(static_cast<int64_t>(g), found[g]);
      layer.nearest += parts[g].nearest;
      layer.chosen += parts[g].chosen;
    }
    if (centred) correct(original, node, shift);
    scale_channels(node, factors);
    const LayerWeights final(node, recipe_);
    walk_.set_parameters(key_of(node), final.real(), corrected_bias(recipe_, node, shape.groups * shape.n));
    return layer;
  }

 private:
  /// Zeros of a layer that was pruned stay.
  RoundingProblem make_layer_problem(const ir::Node& node, int64_t group, const Moments& moments,
                                     const std::vector<float>& wanted, bool centred) const {
    RoundingProblem problem;
    problem.k = moments.k, problem.n = moments.n;
    if (moments.has_products())
      problem = make_problem(moments, wanted,
                             {.damping = damping_for(moments, options_.damping), .centred = centred});
    if (!recipe_.pruned.contains(key_of(node))) return problem;
    for (const float w : matrix_of(node, group)) problem.zero.push_back(w == 0 ? 1 : 0);
    return problem;
  }

  GridWeights round_group(const RoundingProblem& problem, const LayerWeights& weights, int64_t group,
                          RoundedLayer& figures) {
    const WeightGrid grid = weights.grid(group);
    const GridWeights nearest = weights.stored(group);
    const auto error = [&](const GridWeights& w) { return error_of(problem, values_of(problem, grid, w)); };
    GridWeights best = nearest;
    figures.nearest = figures.chosen = error(nearest);
    const auto consider = [&](GridWeights found) {
      refine_codes(problem, grid, {.scales = weights.fits_scales()}, found, pool_);
      const double left = error(found);
      if (left < figures.chosen) figures.chosen = left, best = std::move(found);
    };
    GridWeights rounded = gptq(problem, grid, weights.fits_scales() ? GridWeights() : nearest, pool_);
    if (options_.act_order) consider(gptq_in_activation_order(problem, grid, rounded, pool_));
    consider(std::move(rounded));
    if (problem.k <= kFewWeights) consider(nearest);
    return best;
  }

  /// Result channels lie group after group.
  void scale_channels(const ir::Node& node, const std::vector<std::vector<float>>& factors) {
    const auto stored = recipe_.weights.find(key_of(node));
    if (stored == recipe_.weights.end()) return;
    size_t channel = 0;
    for (const std::vector<float>& group : factors)
      for (const float factor : group) stored->second.scale[channel++] *= factor;
  }

  /// The correction is added to the bias of `node`, the shift to that of `original`.
  void correct(const ir::Node& original, const ir::Node& node, const std::vector<std::vector<float>>& shift) {
    std::vector<float>& correction = recipe_.bias_corrections[key_of(node)];
    correction.clear();
    for (const std::vector<float>& part : shift)
      correction.insert(correction.end(), part.begin(), part.end());
    if (!recipe_.pruned.contains(key_of(node))) return;
    const auto bias = [](const ir::Node& of, size_t i) {
      return of.input(2) == nullptr ? 0.0F : of.input(2)->constant().data<float>()[i];
    };
    for (size_t i = 0; i < correction.size(); ++i) correction[i] += bias(original, i) - bias(node, i);
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
  const std::set<std::string> layers = stored_layers(graph, recipe);
  FakeQuantize rounding(graph, better);
  WalkOptions walk_options = options.walk;
  walk_options.start = &graph;
  NARROW_TRY(LayerWalk walk, LayerWalk::create(options.original != nullptr ? *options.original : graph,
                                               layers, rounding, dataset, pool, walk_options));
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

void take_rounding(const Recipe& from, Recipe& to, const std::set<NodeFormat>& except) {
  const auto same_format = [&](const std::string& key) {
    const auto node = from.nodes.find(key);
    return node != from.nodes.end() && node->second.format == to.nodes.at(key).format &&
           !except.contains(node->second.format);
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
    if (const auto steps = from.four_bit.find(key); steps != from.four_bit.end())
      to.four_bit[key] = steps->second;
    else
      to.four_bit.erase(key);
    take_bias(key);
  }
  for (auto& [key, groups] : to.groups) {
    if (!same_format(key) || !from.groups.contains(key)) continue;
    groups = from.groups.at(key);
    take_bias(key);
  }
}

}  // namespace narrow::quant
