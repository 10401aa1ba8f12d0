#include "pipeline/build_stages.h"

#include <algorithm>
#include <cstring>

#include "pipeline/peaks.h"
#include "runtime/states.h"

namespace narrow::pipeline {
namespace {

/// A model whose batch is fixed, or whose states lie along other axes, is timed at the batch it takes.
int64_t timed_batch(const BuildState& s) {
  const int64_t fixed = s.layer_data().info().largest_batch;
  return fixed > 0 ? fixed : s.options.batch;
}

/// One sample `batch` times along the first axis.
TensorMap repeat(const TensorMap& sample, int64_t batch) {
  if (batch <= 1) return sample;
  TensorMap repeated;
  for (const auto& [name, tensor] : sample) {
    Shape shape = tensor.shape();
    shape[0] *= batch;
    Tensor all = Tensor::allocate(tensor.dtype(), shape);
    for (int64_t i = 0; i < batch; ++i)
      std::memcpy(static_cast<std::byte*>(all.mutable_raw()) + i * tensor.bytes(), tensor.raw(),
                  static_cast<size_t>(tensor.bytes()));
    repeated[name] = std::move(all);
  }
  return repeated;
}

/// Which kernel every step of what was timed ran with.
Status keep_plans(BuildState& s, const std::vector<bench::Contestant>& timed) {
  for (size_t i = 0; i < timed.size(); ++i) {
    std::map<std::string, Shape> shapes;
    for (const auto& [name, tensor] : timed[i].inputs) shapes[name] = tensor.shape();
    NARROW_TRY(s.result.builds[i].plan, timed[i].session->plan_info(shapes));
  }
  return {};
}

}  // namespace

Status repeat_inputs(BuildState& s) {
  NARROW_TRY(const data::Batch sample, s.layer_data().read(0, s.layer_data().batch_of(1), *s.pool));
  NARROW_TRY(const runtime::CarriedStates states,
             runtime::CarriedStates::create(s.layer_data().info().states, ir::interface_of(s.model.graph)));
  const TensorMap inputs = states.with(sample.inputs);
  s.timed_inputs = s.layer_data().info().largest_batch > 0 ? inputs : repeat(inputs, s.options.batch);
  return {};
}

Status time_builds(BuildState& s) {
  NARROW_DO(repeat_inputs(s));
  const int64_t batch = timed_batch(s);
  std::vector<bench::Contestant> contestants;
  for (size_t i = 0; i < s.variants.size(); ++i)
    contestants.push_back({.name = s.variants[i].name,
                           .session = s.variants[i].session.get(),
                           .inputs = s.timed_inputs,
                           .load_ms = s.variants[i].load_ms,
                           .bytes = s.variants[i].file_bytes});
  NARROW_TRY(std::vector<bench::Record> records,
             bench::measure(contestants, {.seconds = s.options.bench_seconds, .rounds = 5, .batch = batch},
                            s.progress));
  for (size_t i = 0; i < records.size(); ++i) s.result.builds[i].record = std::move(records[i]);
  return keep_plans(s, contestants);
}

Status profile_chosen(BuildState& s) {
  constexpr double kMilliseconds = 300;
  constexpr int kMostRuns = 100;
  for (size_t i = 0; i < s.result.builds.size(); ++i) {
    Build& build = s.result.builds[i];
    if (build.name != s.result.decision.chosen) continue;
    const double pair_ms = 2 * std::max(build.record.median_ms, 1e-3);  // one unwatched, one watched
    const int runs = static_cast<int>(std::clamp(kMilliseconds / pair_ms, 1.0, double{kMostRuns}));
    const bench::Roofs before = measure_roofs(s.pool->threads());
    NARROW_TRY(build.profile, bench::profile(*s.variants[i].session, s.timed_inputs, runs, s.progress));
    build.profile->set_roofs(bench::higher(before, measure_roofs(s.pool->threads())));
  }
  return {};
}

}  // namespace narrow::pipeline
