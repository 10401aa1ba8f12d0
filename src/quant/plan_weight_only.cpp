#include <fmt/format.h>

#include <algorithm>

#include "quant/plan_formats.h"
#include "quant/plan_layer.h"
#include "quant/regions.h"
#include "quant/weights.h"

namespace narrow::quant {
namespace {

std::string codes_text(const GroupOptions& options) {
  if (options.set == CodeSet::ternary) return "codes -1, 0 and 1";
  if (options.set == CodeSet::binary) return "codes -1 and 1";
  return fmt::format("{} bits", options.bits);
}

}  // namespace

Recipe plan_weight_only(const ir::Graph& graph, const calib::Profile* profile, const GroupOptions& options,
                        Target target, const Wide& wide) {
  Recipe recipe;
  recipe.precision = group_format(options).precision;
  recipe.target = target;
  for (const ir::Node* node : graph.nodes()) {
    const std::string& key = key_of(*node);
    if (wide.contains(key)) continue;
    if (is_large_table(*node) && target == Target::portable)
      recipe.tables[key] = weight_scales(node->input(0)->constant(), 1);
    if (is_heavy(*node)) recipe.nodes[key] = plan_grouped_layer(*node, profile, options, target, recipe);
  }
  const auto in_groups = std::count_if(recipe.groups.begin(), recipe.groups.end(),
                                       [&](const auto& layer) { return layer.second.bits == options.bits; });
  recipe.notes.push_back(fmt::format(
      "weight-only: {} of {} layers with {}, {}; {:.4g} bits a weight with scales and zero points; the "
      "engine widens weights when it plans, so the file is smaller but not faster than fp32",
      in_groups, recipe.groups.size(), codes_text(options),
      options.group_size == 0 ? "a scale per channel" : fmt::format("groups of {}", options.group_size),
      stored_weights(recipe).bits_per_weight()));
  plan_wide_layers(graph, profile, wide, {target, options.group_size}, recipe);
  return recipe;
}

}  // namespace narrow::quant
