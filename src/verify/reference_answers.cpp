#include "verify/reference_answers.h"

#include <algorithm>

#include "runtime/states.h"

namespace narrow::verify {
namespace {

constexpr int64_t kBatch = 8;                  // as evaluate()
constexpr int64_t kInputBytes = 256LL << 20U;  // inputs kept

int64_t bytes_of(const TensorMap& tensors) {
  int64_t bytes = 0;
  for (const auto& [name, tensor] : tensors) bytes += tensor.bytes();
  return bytes;
}

ScoreSpec spec_of(const runtime::Session& reference, const data::Dataset& dataset) {
  ScoreSpec spec{
      .first_output = reference.interface().outputs.at(0).name, .outputs = {}, .data = dataset.info()};
  for (const ir::Port& output : reference.interface().outputs) spec.outputs.push_back(output.name);
  return spec;
}

}  // namespace

Result<ReferenceAnswers> ReferenceAnswers::create(runtime::Session& reference, const data::Dataset& dataset,
                                                  ThreadPool& pool, int64_t samples,
                                                  const Progress& progress) {
  ReferenceAnswers all(dataset, pool);
  all.spec_ = spec_of(reference, dataset);
  const bool sequence = !dataset.info().states.empty();
  const int64_t step = dataset.batch_of(kBatch), size = dataset.size(),
                wanted = samples > 0 ? std::min(samples, size) : size, pieces = (wanted + step - 1) / step,
                stride = sequence ? step : std::max(step, size / std::max<int64_t>(1, pieces));
  NARROW_TRY(runtime::CarriedStates states,
             runtime::CarriedStates::create(dataset.info().states, reference.interface()));
  for (int64_t i = 0; i < pieces; ++i) {
    report(progress, "fp32 answers", i, pieces);
    Piece piece;
    piece.first = i * stride;
    piece.count = std::min({step, size - piece.first, wanted - i * step});
    NARROW_TRY(data::Batch batch, dataset.read(piece.first, piece.count, pool));
    NARROW_TRY(piece.answers, reference.run(states.with(batch.inputs)));
    states.take(piece.answers);
    NARROW_DO(score_batch(all.spec_, batch, piece.answers, piece.answers, all.scores_));
    all.kept_ += bytes_of(batch.inputs);
    if (all.kept_ <= kInputBytes) piece.batch = std::move(batch);
    all.pieces_.push_back(std::move(piece));
  }
  report(progress, "fp32 answers", pieces, pieces);
  return all;
}

ReferenceAnswers ReferenceAnswers::when_needed(runtime::Session& reference, const data::Dataset& dataset,
                                               ThreadPool& pool, std::span<const int64_t> units) {
  ReferenceAnswers all(dataset, pool);
  all.reference_ = &reference;
  all.spec_ = spec_of(reference, dataset);
  const int64_t step = dataset.batch_of(1);
  for (const int64_t unit : units)
    all.pieces_.push_back({.first = unit * step, .count = step, .batch = {}, .answers = {}});
  return all;
}

Status ReferenceAnswers::answer(Piece& piece) {
  NARROW_TRY(data::Batch batch, dataset_->read(piece.first, piece.count, *pool_));
  NARROW_TRY(piece.answers, reference_->run(batch.inputs));
  NARROW_DO(score_batch(spec_, batch, piece.answers, piece.answers, scores_));
  kept_ += bytes_of(batch.inputs);
  if (kept_ <= kInputBytes) piece.batch = std::move(batch);
  return {};
}

Result<std::vector<SampleScore>> ReferenceAnswers::score_until(
    runtime::Session& build, const std::function<bool(std::span<const SampleScore>)>& enough) {
  std::vector<SampleScore> scores;
  for (Piece& piece : pieces_) {
    if (piece.answers.empty()) NARROW_DO(answer(piece));
    NARROW_TRY(const data::Batch batch, batch_of(piece));
    NARROW_TRY(const TensorMap outputs, build.run(batch.inputs));
    NARROW_DO(score_batch(spec_, batch, outputs, piece.answers, scores));
    if (enough(scores)) break;
  }
  return scores;
}

Result<data::Batch> ReferenceAnswers::batch_of(const Piece& piece) const {
  if (piece.batch.count > 0) return piece.batch;
  return dataset_->read(piece.first, piece.count, *pool_);
}

Status ReferenceAnswers::show(const OutputSink& sink) const {
  for (const Piece& piece : pieces_) {
    NARROW_TRY(const data::Batch batch, batch_of(piece));
    NARROW_DO(sink(0, batch, piece.answers));
  }
  return {};
}

Result<std::vector<SampleScore>> ReferenceAnswers::score(runtime::Session& build,
                                                         const OutputSink& sink) const {
  std::vector<SampleScore> scores;
  NARROW_TRY(runtime::CarriedStates states,
             runtime::CarriedStates::create(dataset_->info().states, build.interface()));
  for (const Piece& piece : pieces_) {
    NARROW_TRY(const data::Batch batch, batch_of(piece));
    NARROW_TRY(const TensorMap outputs, build.run(states.with(batch.inputs)));
    states.take(outputs);
    NARROW_DO(score_batch(spec_, batch, outputs, piece.answers, scores));
    if (sink) NARROW_DO(sink(1, batch, outputs));
  }
  return scores;
}

}  // namespace narrow::verify
