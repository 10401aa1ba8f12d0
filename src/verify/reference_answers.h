// FP32's answers on a data set, computed once, all at the start or each when it is first asked for: what many
// builds in turn are scored against.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "base/progress.h"
#include "base/result.h"
#include "data/dataset.h"
#include "runtime/session.h"
#include "verify/evaluate.h"
#include "verify/scores.h"

namespace narrow::verify {

/// The data set and the pool must outlive it. Answers stay in memory; inputs too, while they fit 256 MiB,
/// others are read again.
class ReferenceAnswers {
 public:
  /// `samples` of the data set, in batches spread over it (a sequence: from its start); 0: all. Errors: those
  /// of the data and of the run.
  static Result<ReferenceAnswers> create(runtime::Session& reference, const data::Dataset& dataset,
                                         ThreadPool& pool, int64_t samples = 0,
                                         const Progress& progress = {});

  /// Units of Dataset::batch_of(1) samples, in this order; not for sequences. `reference` must outlive it: it
  /// answers a unit when the first build has come that far.
  static ReferenceAnswers when_needed(runtime::Session& reference, const data::Dataset& dataset,
                                      ThreadPool& pool, std::span<const int64_t> units);

  /// Of what FP32 has answered by now.
  const std::vector<SampleScore>& scores() const { return scores_; }
  int64_t samples() const { return static_cast<int64_t>(scores_.size()); }
  /// FP32's own outputs, batch by batch; the sink's contestant is 0.
  Status show(const OutputSink& sink) const;
  /// How a build answers the same samples, with states of its own where the model has them; the sink's
  /// contestant is 1.
  Result<std::vector<SampleScore>> score(runtime::Session& build, const OutputSink& sink = {}) const;
  /// Likewise, until `enough` of the build's scores says so; asked after every unit of when_needed().
  Result<std::vector<SampleScore>> score_until(
      runtime::Session& build, const std::function<bool(std::span<const SampleScore>)>& enough);

 private:
  struct Piece {
    int64_t first = 0, count = 0;  // samples
    data::Batch batch;             // empty: not kept
    TensorMap answers;
  };
  ReferenceAnswers(const data::Dataset& dataset, ThreadPool& pool) : dataset_(&dataset), pool_(&pool) {}
  Result<data::Batch> batch_of(const Piece& piece) const;
  Status answer(Piece& piece);

  const data::Dataset* dataset_;
  ThreadPool* pool_;
  runtime::Session* reference_ = nullptr;  // of when_needed()
  int64_t kept_ = 0;                       // bytes of inputs
  ScoreSpec spec_;
  std::vector<Piece> pieces_;
  std::vector<SampleScore> scores_;
};

}  // namespace narrow::verify
