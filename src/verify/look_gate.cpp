#include "verify/look_gate.h"

#include <algorithm>
#include <cmath>

namespace narrow::verify {
namespace {

/// With four looks and 25 builds p must come down to 0.025 / 100: one of these.
constexpr int kResamples = 4000;

Gate turned(Gate gate) {
  const bool less = gate.op == Gate::Op::le || gate.op == Gate::Op::lt;
  gate.op = less ? Gate::Op::ge : Gate::Op::le;
  return gate;
}

/// Of one look alone. A figure that cannot be computed is no evidence; check_gate() says so in the end.
Evidence evidence_of(const Gate& gate, const Figures& figures) {
  const auto here = check_gate(gate, figures, {}, Proof::point),
             there = check_gate(turned(gate), figures, {}, Proof::point);
  if (!here.ok() || !there.ok()) return {};
  // A NaN or an infinity stays in every mean that has it.
  if (!std::isfinite(here->value)) return {.pass_p = 1, .fail_p = 0};
  // Where no sample differs resampling knows of no other: no evidence (f1, as with Proof::ci).
  if (gate.metric == "f1" && gate.form != Gate::Form::value && here->interval &&
      !(here->interval->low < here->interval->high))
    return {};
  return {.pass_p = here->p.value_or(1), .fail_p = there->p.value_or(1)};
}

}  // namespace

std::vector<int64_t> look_sizes(int64_t all) {
  constexpr int64_t kFewest = 50;
  std::vector<int64_t> sizes;
  for (const int64_t part : {64, 16, 4})
    if (const int64_t size = (all + part - 1) / part; size >= kFewest) sizes.push_back(size);
  sizes.push_back(all);
  return sizes;
}

Result<LookGate> LookGate::create(const Gate& gate, int64_t units, uint64_t seed) {
  if (gate.metric == "metric")
    return Error{.code = Code::usage,
                 .subject = "gate '" + gate.text + "' with --proof sequential",
                 .expected = "a figure that samples are resampled for",
                 .got = "the number of a program",
                 .hint = "--proof point measures it on all samples"};
  return LookGate(gate, look_sizes(units), seed);
}

void LookGate::add(std::span<const SampleScore> build, std::span<const SampleScore> reference,
                   int64_t units) {
  if (taken_ == looks_.size() || units < looks_[taken_]) return;
  ++taken_;
  const Figures figures =
      make_figures(build, reference, {.seed = seed_, .resamples = kResamples, .only = gate_.metric});
  const Evidence now = evidence_of(gate_, figures);
  const auto looks = static_cast<double>(looks_.size());
  evidence_.pass_p = std::min(evidence_.pass_p, looks * now.pass_p);
  evidence_.fail_p = std::min(evidence_.fail_p, looks * now.fail_p);
}

GateResult LookGate::result(GateResult measured, double alpha) const {
  measured.p = evidence_.pass_p;
  measured.verdict = verdict_of(evidence_, alpha);
  measured.more_samples = 0;
  return measured;
}

}  // namespace narrow::verify
