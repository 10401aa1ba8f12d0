#include "pipeline/mix_problem.h"

#include <algorithm>
#include <numeric>
#include <unordered_map>

#include "pipeline/layer_costs.h"
#include "quant/layer_bytes.h"
#include "quant/regions.h"

namespace narrow::pipeline {
namespace {

using quant::NodeFormat;
using search::Mix;
using search::MixProblem;

NodeFormat format_in(const quant::Recipe& recipe, const std::string& key) {
  const auto node = recipe.nodes.find(key);
  return node == recipe.nodes.end() ? NodeFormat::fp32 : node->second.format;
}

/// All nodes of the layer that could have the build's format have it.
bool has_format(const UniformBuild& build, const search::MixLayer& layer) {
  if (!is_float_unit(layer)) return format_in(build.recipe, layer.key) == build.format;
  return std::all_of(layer.able.begin(), layer.able.end(),
                     [&](const std::string& key) { return format_in(build.recipe, key) == build.format; });
}

/// By layer. Without figures of their own the layers of a build share its noise as they share int8's.
std::vector<double> noises_of(const UniformBuild& build, const LayerNoise& noise) {
  if (const auto own = noise.of.find(build.format); own != noise.of.end()) return own->second;
  std::vector<double> shares = noise.of.at(NodeFormat::int8);
  const double sum = std::accumulate(shares.begin(), shares.end(), 0.0);
  for (double& share : shares) share *= sum > 0 ? build.noise / sum : 0;
  return shares;
}

/// A unit has formats in which it computes in floating point: what integers leave alone is FP32 there.
void add_choices(const MixInput& input, const LayerNoise& noise, std::vector<search::MixLayer>& layers) {
  std::unordered_map<std::string, const ir::Node*> nodes;
  for (const ir::Node* node : input.graph().nodes())
    if (!node->outputs().empty()) nodes[quant::key_of(*node)] = node;
  for (const UniformBuild& build : input.builds) {
    const std::vector<double> noises = noises_of(build, noise);
    for (size_t l = 0; l < layers.size(); ++l) {
      search::MixLayer& layer = layers[l];
      if (!has_format(build, layer)) continue;
      // The parameters of norms are FP32 everywhere.
      const int64_t bytes = is_float_unit(layer) ? 0 : quant::layer_bytes(*nodes.at(layer.key), build.recipe);
      layer.choices.push_back({.format = build.format,
                               .ms = build.ms.at(layer.node),
                               .noise = noises[l],
                               .bytes = static_cast<double>(bytes)});
    }
  }
}

/// Lowering b t' + t b' lowers t' b', as (b t' + t b')^2 >= 4 t b t' b'; a few rounds end at a mix that this
/// does not better.
Status weigh_cost(MixProblem& problem) {
  constexpr int kRounds = 8;
  Mix best = search::uniform_mix(problem, NodeFormat::fp32);
  for (int round = 0; round < kRounds; ++round) {
    problem.per_ms = 1 / std::max(best.ms, 1e-9);
    problem.per_byte = 1 / std::max(best.bytes, 1.0);
    NARROW_TRY(Mix next, search::best_mix(problem, 1e30));
    if (!(next.ms * next.bytes < best.ms * best.bytes)) break;
    best = std::move(next);
  }
  return {};
}

}  // namespace

Result<MixProblem> make_mix_problem(const MixInput& input, std::vector<search::MixLayer> layers,
                                    const LayerNoise& noise, const CastRates& casts, Objective objective) {
  MixProblem problem;
  problem.layers = std::move(layers);
  add_choices(input, noise, problem.layers);
  problem.edges = cast_edges(input.graph(), problem.layers, input.shapes, casts);
  if (objective == Objective::size) {
    constexpr double kTieBreak = 0.01;
    const Mix fp32 = search::uniform_mix(problem, NodeFormat::fp32);
    problem.per_byte = 1;
    problem.per_ms = kTieBreak * fp32.bytes / std::max(fp32.ms, 1e-9);
  }
  if (objective == Objective::cost) NARROW_DO(weigh_cost(problem));
  return problem;
}

}  // namespace narrow::pipeline
