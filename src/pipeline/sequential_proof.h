// `narrow build --proof sequential`: builds answer samples in random order until their gates are decided
// (docs/gates.md#stopping-early).
//
// A mix is found by trials on evaluation samples: whatever is then found has been fitted to them. The trials
// are given the first half of the order, and the mix is proven on samples of the second, which nothing that
// chose it has seen. So trials need not be counted, and the mix is one build more.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/progress.h"
#include "base/result.h"
#include "data/dataset.h"
#include "parallel/thread_pool.h"
#include "pipeline/comparisons.h"
#include "verify/evaluate.h"
#include "verify/sequential_builds.h"

namespace narrow::pipeline {

/// How far one build came.
struct TakenSamples {
  std::string build;
  int64_t samples = 0, available = 0;
  bool decided = false;  // before they ran out
};

class SequentialProof {
 public:
  /// `eval` must outlive it. Errors usage: gates that cannot be decided so, or none about answers; samples
  /// that depend on each other.
  static Result<SequentialProof> create(std::vector<verify::Gate> gates, const data::Dataset& eval,
                                        uint64_t seed, int64_t layer_samples);

  /// `builds` without the mix, of which one may follow.
  void expect(int64_t builds, bool mix) { builds_.emplace(gates_, seed_, builds + (mix ? 1 : 0)); }
  /// Everybody in one order, each until its gates are decided. After expect(). Errors: those of evaluate().
  Result<verify::Evaluation> prove(runtime::Session& reference, const std::vector<verify::Contestant>& builds,
                                   ThreadPool& pool, const Progress& progress);
  /// Likewise, on what no trial has seen.
  Result<verify::Evaluation> prove_mix(runtime::Session& reference,
                                       const std::vector<verify::Contestant>& mix, ThreadPool& pool,
                                       const Progress& progress);

  /// The half of the order that the search for a mix may look at.
  std::vector<int64_t> search_units() const;
  int64_t search_samples() const { return step_ * static_cast<int64_t>(units_.size() / 2); }
  /// Would these scores, as far as they are of search_units(), pass as a trial's?
  Result<bool> holds_in_search(std::span<const verify::SampleScore> build,
                               std::span<const verify::SampleScore> reference) const;

  /// Of gates[gate]; `measured` is what the figures say.
  verify::GateResult result(const std::string& build, size_t gate, verify::GateResult measured) const;
  Comparisons comparisons() const;
  std::vector<TakenSamples> taken() const;

 private:
  SequentialProof(std::vector<verify::Gate> gates, const data::Dataset& eval, uint64_t seed)
      : gates_(std::move(gates)), eval_(&eval), seed_(seed), step_(eval.batch_of(1)) {}
  Result<verify::Evaluation> prove_on(std::vector<int64_t> units, runtime::Session& reference,
                                      const std::vector<verify::Contestant>& builds, ThreadPool& pool,
                                      const Progress& progress);
  std::string sentence() const;

  std::vector<verify::Gate> gates_;
  const data::Dataset* eval_;
  uint64_t seed_;
  int64_t step_;                 // samples of a unit
  std::vector<int64_t> units_;   // in random order
  std::vector<int64_t> unseen_;  // the second half, without those that layers were compared on
  std::optional<verify::SequentialBuilds> builds_;
  std::vector<std::string> names_;  // as builds_
  std::vector<int64_t> available_;  // samples, likewise
};

Json to_json(const std::vector<TakenSamples>& taken);

}  // namespace narrow::pipeline
