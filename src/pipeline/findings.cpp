#include "pipeline/findings.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "quant/regions.h"

namespace narrow::pipeline {

std::vector<std::string> mixed_ranges(const ir::Graph& graph, const quant::Recipe& recipe,
                                      const calib::Profile& profile) {
  constexpr double kLevels = 256, kFewest = 16;
  std::vector<std::string> list;
  if (recipe.activations.empty()) return list;
  for (const ir::Node* node : graph.nodes_of(ir::Op::Concat)) {
    double smallest = std::numeric_limits<double>::infinity(), low = 0, high = 0;
    std::string who;
    for (const ir::Value* input : node->inputs()) {
      const auto it = profile.values.find(input->origin.empty() ? input->name : input->origin);
      if (it == profile.values.end() || it->second.histogram.count() == 0) continue;
      const calib::Histogram& h = it->second.histogram;
      const double extent = static_cast<double>(std::max(h.max(), 0.0F)) - std::min(h.min(), 0.0F);
      if (extent > 0 && extent < smallest) smallest = extent, who = input->name;
      low = std::min<double>(low, h.min());
      high = std::max<double>(high, h.max());
    }
    if (who.empty() || smallest * kLevels >= kFewest * (high - low)) continue;
    const auto choice = recipe.nodes.find(quant::key_of(*node));
    const bool integer = choice != recipe.nodes.end() && choice->second.format == quant::NodeFormat::int8;
    list.push_back(
        fmt::format("{} mixes ranges: '{}' spans {:.3g} of {:.3g}, {:.0f} of 256 levels under one scale; {}",
                    node->location(), who, smallest, high - low, smallest / (high - low) * kLevels,
                    integer ? "it runs in int8" : "it stays in fp32"));
  }
  return list;
}

}  // namespace narrow::pipeline
