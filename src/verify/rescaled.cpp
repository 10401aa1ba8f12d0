#include "verify/rescaled.h"

#include <algorithm>

#include "base/json_text.h"
#include "numerics/distortion.h"
#include "runtime/states.h"
#include "verify/capture.h"

namespace narrow::verify {
namespace {
constexpr const char* kKey = "narrow.rescaled_values";
}

Result<std::set<std::string>> rescaled_values(const ir::Graph& original, const ir::Graph& changed,
                                              const data::Dataset& dataset,
                                              const std::shared_ptr<ThreadPool>& pool) {
  constexpr int64_t kSamples = 2;
  constexpr double kRounding = 60;  // dB: sums in another order are twice as near
  runtime::SessionOptions observe;
  observe.observe_all = true;
  NARROW_TRY(runtime::Session before, runtime::Session::create(original, pool, observe));
  NARROW_TRY(runtime::Session after, runtime::Session::create(changed, pool, observe));
  NARROW_TRY(runtime::CarriedStates states,
             runtime::CarriedStates::create(dataset.info().states, ir::interface_of(original)));
  std::map<std::string, Distortion> distances;
  std::set<std::string> names;
  const int64_t step = dataset.batch_of(1);
  for (int64_t i = 0; i < std::min(kSamples, dataset.size()); i += step) {
    NARROW_TRY(const data::Batch batch, dataset.read(i, step, *pool));
    const TensorMap inputs = states.with(batch.inputs);
    Captured was, is;
    Capture watch_before(was), watch_after(is);
    NARROW_TRY(const TensorMap outputs, before.run(inputs, &watch_before));
    NARROW_DO(after.run(inputs, &watch_after));
    states.take(outputs);
    for (const auto& [name, value] : is) {
      const auto old = was.find(name);
      if (old == was.end()) continue;
      if (old->second.shape() != value.shape())
        names.insert(name);
      else
        distances[name].add(old->second.data<float>(), value.data<float>());
    }
  }
  for (const auto& [name, distance] : distances)
    if (distance.sqnr_db() < kRounding) names.insert(name);
  return names;
}

void note_rescaled(ir::Graph& graph, const std::set<std::string>& names) {
  if (!names.empty()) graph.metadata[kKey] = Json(names).dump();
}

std::set<std::string> rescaled_of(const ir::Graph& graph) {
  std::set<std::string> names;
  const auto noted = graph.metadata.find(kKey);
  if (noted == graph.metadata.end()) return names;
  const Result<Json> list = parse_json(noted->second, kKey);
  if (!list.ok() || !list->is_array()) return names;
  for (const Json& name : *list)
    if (name.is_string()) names.insert(name.get<std::string>());
  return names;
}

}  // namespace narrow::verify
