#include "search/mixed.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "quant/regions.h"

namespace narrow::search {

std::vector<Suspect> rank_suspects(const ir::Graph& graph, const quant::Recipe& int8,
                                   const std::vector<verify::LayerReport>& layers) {
  std::map<std::string, double> sqnr;
  for (const verify::LayerReport& layer : layers)
    if (layer.computes) sqnr[layer.node] = layer.isolated.distortion.sqnr_db();
  std::vector<Suspect> suspects;
  for (const ir::Node* node : graph.nodes()) {
    const auto choice = int8.nodes.find(quant::key_of(*node));
    if (choice == int8.nodes.end() || choice->second.format != quant::NodeFormat::int8 ||
        !quant::is_heavy(*node))
      continue;
    const std::string& name = node->name.empty() ? quant::key_of(*node) : node->name;
    const auto measured = sqnr.find(name);
    suspects.push_back({quant::key_of(*node), name, measured == sqnr.end() ? 200.0 : measured->second});
  }
  std::stable_sort(suspects.begin(), suspects.end(),
                   [](const Suspect& a, const Suspect& b) { return a.sqnr_db < b.sqnr_db; });
  return suspects;
}

namespace {

quant::Wide first_of(const std::vector<Suspect>& suspects, size_t count, const std::string& format) {
  quant::Wide wide;
  for (size_t i = 0; i < count; ++i)
    wide[suspects[i].key] = fmt::format("{}: {:.1f} dB alone in int8, number {} of the guiltiest", format,
                                        suspects[i].sqnr_db, i + 1);
  return wide;
}

}  // namespace

Result<MixedResult> widen_until_it_holds(const std::vector<Suspect>& suspects, const std::string& format,
                                         const Trial& trial) {
  MixedResult result;
  size_t fails = 0, holds = 0;
  for (size_t count = 1; holds == 0 && fails < suspects.size();
       count = std::min(2 * count, suspects.size())) {
    ++result.trials;
    NARROW_TRY(const bool good, trial(first_of(suspects, count, format)));
    (good ? holds : fails) = count;
  }
  while (holds > fails + 1) {
    const size_t middle = (holds + fails) / 2;
    ++result.trials;
    NARROW_TRY(const bool good, trial(first_of(suspects, middle, format)));
    (good ? holds : fails) = middle;
  }
  result.holds = holds > 0;
  result.wide = first_of(suspects, holds > 0 ? holds : suspects.size(), format);
  return result;
}

}  // namespace narrow::search
