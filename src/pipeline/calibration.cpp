#include "pipeline/calibration.h"

#include <set>

#include "calib/choose_methods.h"
#include "quant/choose_ranges.h"
#include "quant/plan_formats.h"

namespace narrow::pipeline {

Status choose_ranges(const ir::Graph& graph, const data::Dataset& dataset, std::shared_ptr<ThreadPool> pool,
                     const calib::RangeOptions& ranges, int64_t memory, calib::Profile& profile,
                     const Progress& progress) {
  quant::ChooseRangesOptions options;
  options.ranges = ranges;
  if (memory > 0) options.memory = memory;
  NARROW_TRY(const auto chosen,
             quant::choose_ranges(graph, profile, dataset, std::move(pool), options, progress));
  profile.ranges.clear();
  for (const auto& [name, choice] : chosen) profile.ranges[name] = choice.range;
  return {};
}

Result<calib::Profile> calibrate_model(const Model& model, const data::Dataset& dataset,
                                       std::shared_ptr<ThreadPool> pool,
                                       const calib::CalibrateOptions& options,
                                       const calib::RangeOptions& ranges, const Progress& progress) {
  NARROW_TRY(calib::Profile profile,
             calib::calibrate(model.graph, model.hash, dataset, pool, options, progress));
  if (ranges.method == calib::Method::output_error)
    NARROW_DO(choose_ranges(model.graph, dataset, pool, ranges, options.memory, profile, progress));
  if (ranges.method != calib::Method::automatic) return profile;
  NARROW_TRY(const quant::Recipe plain, quant::plan_int8(model.graph, profile, {.ranges = ranges}));
  std::set<std::string> values;
  for (const auto& [name, scale] : plain.activations) {
    const ir::Value* value = model.graph.find_value(name);
    values.insert(value->origin.empty() ? name : value->origin);
  }
  NARROW_TRY(profile.methods, calib::choose_methods(model.graph, profile, values, dataset, pool,
                                                    {.ranges = ranges, .batch = options.batch}, progress));
  return profile;
}

}  // namespace narrow::pipeline
