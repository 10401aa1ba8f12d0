#include "verify/evaluate.h"

#include <algorithm>
#include <numeric>

#include "base/random.h"
#include "runtime/states.h"

namespace narrow::verify {

namespace {

struct Piece {
  int64_t first = 0, count = 0;
};

/// What is read at a time.
std::vector<Piece> pieces_of(const data::Dataset& dataset, const EvaluationOrder& order) {
  constexpr int64_t kBatch = 8;
  std::vector<Piece> pieces;
  const int64_t step = dataset.batch_of(order.units.empty() ? kBatch : 1), total = dataset.size();
  for (const int64_t unit : order.units) pieces.push_back({unit * step, step});
  for (int64_t first = 0; order.units.empty() && first < total; first += step)
    pieces.push_back({first, std::min(step, total - first)});
  return pieces;
}

}  // namespace

std::vector<int64_t> random_units(const data::Dataset& dataset, uint64_t seed) {
  std::vector<int64_t> units(static_cast<size_t>(dataset.size() / dataset.batch_of(1)));
  std::iota(units.begin(), units.end(), 0);
  Random random(seed);
  for (size_t i = units.size(); i > 1; --i)
    std::swap(units[i - 1], units[static_cast<size_t>(random.integer(0, static_cast<int64_t>(i) - 1))]);
  return units;
}

Result<Evaluation> evaluate(runtime::Session& reference, const std::vector<Contestant>& builds,
                            const data::Dataset& dataset, ThreadPool& pool, const Progress& progress,
                            const OutputSink& sink, const EvaluationOrder& order) {
  ScoreSpec spec{
      .first_output = reference.interface().outputs.at(0).name, .outputs = {}, .data = dataset.info()};
  for (const ir::Port& output : reference.interface().outputs) spec.outputs.push_back(output.name);
  Evaluation result;
  result.builds.resize(builds.size());
  // Each answers with its own states, as it would when deployed.
  std::vector<runtime::CarriedStates> states;
  for (size_t i = 0; i <= builds.size(); ++i) {
    NARROW_TRY(runtime::CarriedStates carried,
               runtime::CarriedStates::create(dataset.info().states, reference.interface()));
    states.push_back(std::move(carried));
  }
  const int64_t total = dataset.size();
  int64_t done = 0;
  for (const Piece& piece : pieces_of(dataset, order)) {
    report(progress, "verify", done, total);
    NARROW_TRY(const data::Batch batch, dataset.read(piece.first, piece.count, pool));
    NARROW_TRY(const TensorMap wanted, reference.run(states[0].with(batch.inputs)));
    states[0].take(wanted);
    NARROW_DO(score_batch(spec, batch, wanted, wanted, result.reference));
    if (sink) NARROW_DO(sink(0, batch, wanted));
    for (size_t i = 0; i < builds.size(); ++i) {
      if (order.needs && !order.needs(i)) continue;
      NARROW_TRY(const TensorMap outputs, builds[i].session->run(states[i + 1].with(batch.inputs)));
      states[i + 1].take(outputs);
      NARROW_DO(score_batch(spec, batch, outputs, wanted, result.builds[i]));
      if (sink) NARROW_DO(sink(i + 1, batch, outputs));
    }
    done += piece.count;
    if (order.enough && order.enough(result)) break;
  }
  report(progress, "verify", done, done);
  return result;
}

std::vector<data::InputSpec> input_specs(const ir::Interface& model) {
  std::vector<data::InputSpec> specs;
  for (const ir::Port& input : model.inputs) {
    data::InputSpec spec{
        .name = input.name, .dtype = input.type.dtype, .dims = {}, .ranked = input.type.ranked};
    for (const ir::Dim& dim : input.type.dims) spec.dims.push_back(dim.value);
    specs.push_back(std::move(spec));
  }
  return specs;
}

}  // namespace narrow::verify
