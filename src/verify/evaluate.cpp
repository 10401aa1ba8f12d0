#include "verify/evaluate.h"

#include <algorithm>

#include "runtime/states.h"

namespace narrow::verify {

Result<Evaluation> evaluate(runtime::Session& reference, const std::vector<Contestant>& builds,
                            const data::Dataset& dataset, ThreadPool& pool, const Progress& progress,
                            const OutputSink& sink) {
  ScoreSpec spec{.first_output = reference.outputs().at(0).name, .outputs = {}, .data = dataset.info()};
  for (const ir::GraphOutput& output : reference.outputs()) spec.outputs.push_back(output.name);
  Evaluation result;
  result.builds.resize(builds.size());
  constexpr int64_t kBatch = 8;
  const int64_t step = dataset.batch_of(kBatch), total = dataset.size();
  // Each answers with its own states, as it would when deployed.
  std::vector<runtime::CarriedStates> states;
  for (size_t i = 0; i <= builds.size(); ++i) {
    NARROW_TRY(runtime::CarriedStates carried,
               runtime::CarriedStates::create(dataset.info().states, reference.graph()));
    states.push_back(std::move(carried));
  }
  for (int64_t first = 0; first < total; first += step) {
    report(progress, "verify", first, total);
    NARROW_TRY(const data::Batch batch, dataset.read(first, std::min(step, total - first), pool));
    NARROW_TRY(const TensorMap wanted, reference.run(states[0].with(batch.inputs)));
    states[0].take(wanted);
    NARROW_DO(score_batch(spec, batch, wanted, wanted, result.reference));
    if (sink) NARROW_DO(sink(0, batch, wanted));
    for (size_t i = 0; i < builds.size(); ++i) {
      NARROW_TRY(const TensorMap outputs, builds[i].session->run(states[i + 1].with(batch.inputs)));
      states[i + 1].take(outputs);
      NARROW_DO(score_batch(spec, batch, outputs, wanted, result.builds[i]));
      if (sink) NARROW_DO(sink(i + 1, batch, outputs));
    }
  }
  report(progress, "verify", total, total);
  return result;
}

std::vector<data::InputSpec> input_specs(const ir::Graph& graph) {
  std::vector<data::InputSpec> specs;
  for (const ir::Value* input : graph.inputs()) {
    data::InputSpec spec{
        .name = input->name, .dtype = input->type.dtype, .dims = {}, .ranked = input->type.ranked};
    for (const ir::Dim& dim : input->type.dims) spec.dims.push_back(dim.value);
    specs.push_back(std::move(spec));
  }
  return specs;
}

std::vector<data::InputSpec> input_specs(const runtime::Session& session) {
  return input_specs(session.graph());
}

}  // namespace narrow::verify
