#include "quant/equalize.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "quant/channel_profile.h"
#include "quant/scale_cost.h"
#include "quant/scale_groups.h"

namespace narrow::quant {
namespace {

std::string name_of(const ir::Node& node) { return node.name.empty() ? node.output()->name : node.name; }

std::vector<std::string> names_of(const std::vector<ScaledLayer>& layers) {
  std::vector<std::string> names;
  for (const ScaledLayer& layer : layers) names.push_back(name_of(*layer.node));
  return names;
}

/// A channel that reached the bound of a Clip must keep its scale; another's may grow until it would. Where
/// nothing is known of the channels, all keep theirs.
void bound_by_clip(const ScaledClip& clip, const calib::Profile* profile, double margin,
                   std::vector<FactorBounds>& bounds) {
  const std::vector<int>& factors = clip.factors.ids;
  const bool images = clip.factors.rank() >= 4;
  const int64_t axis = images ? 1 : clip.factors.rank() - 1;
  const calib::ValueProfile* seen =
      profile == nullptr || !clip.factors.varies(axis)
          ? nullptr
          : channel_profile(*profile, clip.node->input(0), axis, std::ssize(factors));
  for (size_t c = 0; c < factors.size(); ++c) {
    if (factors[c] == kFixed) continue;
    FactorBounds& bound = bounds[static_cast<size_t>(factors[c])];
    bound.fixed = bound.fixed || seen == nullptr;
    if (seen == nullptr) continue;
    for (const auto& [limit, reached] :
         {std::pair{clip.low, seen->channel_min[c]}, {clip.high, seen->channel_max[c]}}) {
      if (limit == 0 || std::isinf(limit)) continue;
      const double share = static_cast<double>(reached) / limit;  // 1: at the bound
      bound.fixed = bound.fixed || share >= 1;
      bound.low = std::max(bound.low, std::min(1.0, margin * share));
    }
  }
}

std::string note_of(const std::vector<EqualizedGroup>& groups) {
  if (groups.empty()) return "";
  const auto most = std::max_element(groups.begin(), groups.end(),
                                     [](const auto& a, const auto& b) { return a.gain_db < b.gain_db; });
  return fmt::format(
      "equalised {} groups of channels between layers; most, by {:.1f} dB of expected error: {} -> {}",
      groups.size(), most->gain_db, fmt::join(most->producers, ", "), fmt::join(most->consumers, ", "));
}

}  // namespace

Result<EqualizeReport> equalize(ir::Graph& graph, const calib::Profile* profile,
                                const EqualizeOptions& options) {
  EqualizeReport report;
  const IntegerRegions regions = integer_regions(graph, {});
  const ScaleGroups found = find_scale_groups(graph);
  for (const ScaleGroup& group : found.groups) {
    const ScaleCost cost(group, profile, regions, options.trust, options.weight_bits);
    if (!cost.known()) continue;
    std::vector<FactorBounds> bounds(static_cast<size_t>(group.factors));
    for (const ScaledClip& clip : group.clips) bound_by_clip(clip, profile, options.clip_margin, bounds);
    const std::vector<double> factors = cost.best(bounds);
    const double before = cost.at(std::vector<double>(factors.size(), 1.0)), after = cost.at(factors),
                 gain = after > 0 && before > 0 ? 10 * std::log10(before / after) : 0;
    if (gain < options.least_gain_db) continue;
    rescale(graph, group, factors);
    const auto [low, high] = std::minmax_element(factors.begin(), factors.end());
    report.groups.push_back(
        {names_of(group.producers), names_of(group.consumers), group.factors, *low, *high, gain});
  }
  for (const LeftAlone& left : found.barriers) report.left_alone.push_back(left.value + ": " + left.reason);
  report.note = note_of(report.groups);
  return report;
}

}  // namespace narrow::quant
