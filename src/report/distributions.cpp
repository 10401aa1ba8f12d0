#include "report/distributions.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/json_text.h"

namespace narrow::reports {
namespace {

/// (SQNR, value) of the layers of one build whose result is stored as integers.
std::vector<std::pair<double, std::string>> integer_layers(const Json& build) {
  std::vector<std::pair<double, std::string>> list;
  const Json& scales = member(member(build, "recipe"), "activations");
  const Json& layers = member(build, "layers");
  if (!scales.is_object() || !layers.is_array()) return list;
  for (const Json& layer : layers) {
    const Json& value = member(layer, "value");
    const Json& sqnr = member(member(layer, "isolated"), "sqnr_db");
    if (!value.is_string() || !sqnr.is_number() || !scales.contains(value.get<std::string>())) continue;
    list.emplace_back(sqnr.get<double>(), value.get<std::string>());
  }
  return list;
}

}  // namespace

std::set<std::string> worst_values(const Json& manifest, size_t most) {
  std::set<std::string> names;
  const Json& builds = member(manifest, "builds");
  if (!builds.is_array()) return names;
  for (const Json& build : builds) {
    auto layers = integer_layers(build);
    std::sort(layers.begin(), layers.end());
    for (size_t i = 0; i < std::min(most, layers.size()); ++i) names.insert(layers[i].second);
  }
  return names;
}

Json bars_of(const calib::Histogram& h, int64_t bars) {
  const std::vector<int64_t>& bins = h.bins();
  const auto used = [](int64_t count) { return count > 0; };
  const auto first = std::find_if(bins.begin(), bins.end(), used);
  if (first == bins.end() || bars < 1) return Json::object();
  const auto last = std::find_if(bins.rbegin(), bins.rend(), used).base();  // one past
  const int64_t each = (last - first + bars - 1) / bars;                    // bins per bar
  std::vector<int64_t> counts(static_cast<size_t>((last - first + each - 1) / each));
  for (auto bin = first; bin != last; ++bin) counts[static_cast<size_t>((bin - first) / each)] += *bin;
  return {{"low", h.center(first - bins.begin()) - 0.5 * h.bin_width()},
          {"width", h.bin_width() * static_cast<double>(each)},
          {"counts", std::move(counts)},
          {"min", h.min()},
          {"max", h.max()},
          {"count", h.count()},
          {"zeros", h.zeros()},
          {"non_finite", h.non_finite()}};
}

}  // namespace narrow::reports
