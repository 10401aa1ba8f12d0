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

void add_choices(const MixInput& input, const LayerNoise& noise, std::vector<search::MixLayer>& layers) {
  std::unordered_map<std::string, const ir::Node*> nodes;
  for (const ir::Node* node : input.graph().nodes())
    if (!node->outputs().empty()) nodes[quant::key_of(*node)] = node;
  const std::vector<double>& int8 = noise.of.at(NodeFormat::int8);
  const double sum = std::accumulate(int8.begin(), int8.end(), 0.0);
  for (const UniformBuild& build : input.builds)
    for (size_t l = 0; l < layers.size(); ++l) {
      if (format_in(build.recipe, layers[l].key) != build.format) continue;
      const auto own = noise.of.find(build.format);
      const double share = sum > 0 ? int8[l] / sum : 0;
      layers[l].choices.push_back(
          {.format = build.format,
           .ms = build.ms.at(layers[l].node),
           .noise = own != noise.of.end() ? own->second[l] : build.noise * share,
           .bytes = static_cast<double>(quant::layer_bytes(*nodes.at(layers[l].key), build.recipe))});
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
