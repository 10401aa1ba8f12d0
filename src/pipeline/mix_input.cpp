#include "pipeline/mix_input.h"

#include <algorithm>

#include "quant/regions.h"
#include "quant/wide.h"

namespace narrow::pipeline {

const UniformBuild* MixInput::build(quant::NodeFormat format) const {
  const auto found =
      std::find_if(builds.begin(), builds.end(), [&](const UniformBuild& b) { return b.format == format; });
  return found == builds.end() ? nullptr : &*found;
}

std::vector<search::MixLayer> mix_layers(const ir::Graph& graph, const quant::Recipe& int8,
                                         const quant::Wide& pinned) {
  std::vector<search::MixLayer> layers;
  for (const ir::Node* node : graph.nodes()) {
    if (node->outputs().empty() || !quant::is_heavy(*node)) continue;
    const std::string& key = quant::key_of(*node);
    const auto choice = int8.nodes.find(key);
    const bool narrow = choice != int8.nodes.end() && choice->second.format == quant::NodeFormat::int8;
    if (narrow && !pinned.contains(key)) layers.push_back({key, quant::name_of(*node), {}});
  }
  return layers;
}

Result<Quantized> with_formats(const MixInput& input, const quant::PlanOptions& plan,
                               const quant::Wide& formats) {
  std::vector<const quant::Recipe*> donors;
  for (const UniformBuild& build : input.builds)
    if (build.format != quant::NodeFormat::int8) donors.push_back(&build.recipe);
  return widen_recipe({input.original, &input.profile, &input.calib}, input.int8, quant::Precision::int8,
                      plan, formats, donors);
}

}  // namespace narrow::pipeline
