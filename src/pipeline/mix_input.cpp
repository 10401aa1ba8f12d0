#include "pipeline/mix_input.h"

#include <algorithm>

#include "quant/float_units.h"
#include "quant/regions.h"
#include "quant/wide.h"

namespace narrow::pipeline {

const UniformBuild* MixInput::build(quant::NodeFormat format) const {
  const auto found =
      std::find_if(builds.begin(), builds.end(), [&](const UniformBuild& b) { return b.format == format; });
  return found == builds.end() ? nullptr : &*found;
}

std::vector<search::MixLayer> mix_layers(const ir::Graph& graph, const quant::Recipe& int8,
                                         const std::map<std::string, Shape>& shapes,
                                         const quant::Wide& pinned) {
  std::map<std::string, quant::FloatUnit> units;
  for (quant::FloatUnit& unit : quant::float_units(graph, shapes)) units[unit.key] = std::move(unit);
  const auto in_int8 = [&](const std::string& key) {
    const auto choice = int8.nodes.find(key);
    return choice != int8.nodes.end() && choice->second.format == quant::NodeFormat::int8;
  };
  std::vector<search::MixLayer> layers;
  for (const ir::Node* node : graph.nodes()) {
    if (node->outputs().empty()) continue;
    const std::string& key = quant::key_of(*node);
    if (quant::is_heavy(*node) && in_int8(key) && !pinned.contains(key))
      layers.push_back({key, quant::name_of(*node)});
    const auto unit = units.find(key);
    if (unit == units.end()) continue;
    const std::vector<std::string>& nodes = unit->second.nodes;
    if (std::none_of(nodes.begin(), nodes.end(),
                     [&](const std::string& each) { return pinned.contains(each) || in_int8(each); }))
      layers.push_back({key, unit->second.name, {}, nodes, unit->second.able});
  }
  return layers;
}

void give_format(const search::MixLayer& layer, const quant::WideLayer& wide, quant::Wide& formats) {
  for (const std::string& key : layer.able) formats[key] = {.reason = "", .format = wide.format};
  formats[layer.key] = wide;
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
