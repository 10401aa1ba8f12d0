#include "pipeline/sequential_proof.h"

#include <fmt/format.h>

#include <algorithm>

namespace narrow::pipeline {

Result<SequentialProof> SequentialProof::create(std::vector<verify::Gate> gates, const data::Dataset& eval,
                                                uint64_t seed, int64_t layer_samples) {
  if (!eval.info().states.empty())
    return Error{.code = Code::usage,
                 .subject = "--proof sequential",
                 .expected = "samples that do not depend on each other",
                 .got = "a sequence (states in the dataset)",
                 .hint = "--proof ci decides on all of them"};
  SequentialProof proof(std::move(gates), eval, seed);
  proof.units_ = verify::random_units(eval, seed);
  NARROW_TRY(const auto asked, verify::SequentialBuild::create(proof.gates_, std::ssize(proof.units_), seed));
  NARROW_CHECK(asked.units() == 0);
  const auto half = static_cast<int64_t>(proof.units_.size() / 2);
  proof.unseen_.assign(proof.units_.begin() + half, proof.units_.end());
  std::erase_if(proof.unseen_, [&](int64_t unit) { return unit * proof.step_ < layer_samples; });
  return proof;
}

std::vector<int64_t> SequentialProof::search_units() const {
  return {units_.begin(), units_.begin() + static_cast<int64_t>(units_.size() / 2)};
}

Result<verify::Evaluation> SequentialProof::prove(runtime::Session& reference,
                                                  const std::vector<verify::Contestant>& builds,
                                                  ThreadPool& pool, const Progress& progress) {
  return prove_on(units_, reference, builds, pool, progress);
}

Result<verify::Evaluation> SequentialProof::prove_mix(runtime::Session& reference,
                                                      const std::vector<verify::Contestant>& mix,
                                                      ThreadPool& pool, const Progress& progress) {
  return prove_on(unseen_, reference, mix, pool, progress);
}

Result<verify::Evaluation> SequentialProof::prove_on(std::vector<int64_t> units, runtime::Session& reference,
                                                     const std::vector<verify::Contestant>& builds,
                                                     ThreadPool& pool, const Progress& progress) {
  const size_t first = builds_->size();
  for (const verify::Contestant& build : builds) {
    NARROW_DO(builds_->enter(std::ssize(units)));
    names_.push_back(build.name);
    available_.push_back(step_ * std::ssize(units));
  }
  std::vector<size_t> seen(builds.size());
  verify::EvaluationOrder order;
  order.units = std::move(units);
  order.needs = [&](size_t i) { return builds_->open(first + i); };
  order.enough = [&](const verify::Evaluation& so_far) {
    bool open = false;
    for (size_t i = 0; i < builds.size(); ++i) {
      const std::span<const verify::SampleScore> scores = so_far.builds[i],
                                                 reference_scores = so_far.reference;
      if (scores.size() > seen[i]) builds_->add(first + i, scores, reference_scores.first(scores.size()));
      seen[i] = scores.size();
    }
    builds_->settle();
    for (size_t i = 0; i < builds.size(); ++i) open = open || builds_->open(first + i);
    return !open;
  };
  return verify::evaluate(reference, builds, *eval_, pool, progress, {}, order);
}

Result<bool> SequentialProof::holds_in_search(std::span<const verify::SampleScore> build,
                                              std::span<const verify::SampleScore> reference) const {
  const auto half = static_cast<size_t>(search_samples()), step = static_cast<size_t>(step_);
  NARROW_TRY(verify::SequentialBuild trial,
             verify::SequentialBuild::create(gates_, static_cast<int64_t>(units_.size() / 2), seed_));
  for (size_t n = step; n <= std::min(half, build.size()) && !trial.decided(verify::kSequentialError);
       n += step)
    trial.add(build.first(n), reference.first(n));
  return trial.pass_p() <= verify::kSequentialError;
}

verify::GateResult SequentialProof::result(const std::string& build, size_t gate,
                                           verify::GateResult measured) const {
  const auto found = std::find(names_.begin(), names_.end(), build);
  if (found == names_.end()) return measured;
  const auto i = static_cast<size_t>(found - names_.begin());
  return (*builds_)[i].result(gate, std::move(measured), builds_->alpha(i));
}

std::vector<TakenSamples> SequentialProof::taken() const {
  std::vector<TakenSamples> all;
  for (size_t i = 0; i < names_.size(); ++i)
    all.push_back({.build = names_[i],
                   .samples = step_ * (*builds_)[i].units(),
                   .available = available_[i],
                   .decided = !builds_->open(i)});
  return all;
}

std::string SequentialProof::sentence() const {
  std::string each;
  const std::vector<TakenSamples> all = taken();
  for (size_t i = 0; i < all.size(); ++i)
    each += fmt::format("{}{} {} after {} of {}", i == 0 ? "" : ", ", all[i].build,
                        builds_->passed(i) ? "passed"
                        : all[i].decided   ? "failed"
                                           : "is open",
                        all[i].samples, all[i].available);
  return fmt::format(
      "Samples were taken in random order, and a build no further than its gates were decided: {}. Any of "
      "the "
      "{} builds passes wrongly at most once in {:.0f} times (Holm); a gate that holds fails as seldom.",
      each, builds_->tests(), 1 / verify::kSequentialError);
}

Comparisons SequentialProof::comparisons() const {
  Comparisons c{.tried = 0, .proof = verify::Proof::sequential, .levels = {}, .sentence = {}};
  if (names_.empty()) return c;
  c.tried = builds_->tests();
  for (size_t i = 0; i < names_.size(); ++i) c.levels[names_[i]] = 1 - 2 * builds_->alpha(i);
  c.sentence = sentence();
  return c;
}

Json to_json(const std::vector<TakenSamples>& taken) {
  Json json = Json::object();
  for (const TakenSamples& t : taken)
    json[t.build] = {{"samples", t.samples}, {"available", t.available}, {"decided", t.decided}};
  return json;
}

}  // namespace narrow::pipeline
