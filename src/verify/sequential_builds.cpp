#include "verify/sequential_builds.h"

#include <algorithm>

#include "verify/multiple.h"

namespace narrow::verify {

Result<SequentialBuild> SequentialBuild::create(const std::vector<Gate>& gates, int64_t units,
                                                uint64_t seed) {
  SequentialBuild build;
  for (const Gate& gate : gates) {
    AnyGate made;
    const bool share = gate.metric == "top1" || gate.metric == "top5" || gate.metric == "agreement" ||
                       gate.metric == "margin_halved";
    if (is_about_answers(gate) && share) {
      NARROW_TRY(made, SequentialGate::create(gate));
    } else if (is_about_answers(gate)) {
      NARROW_TRY(made, LookGate::create(gate, units, seed));
    }
    build.gates_.push_back(std::move(made));
  }
  const auto is_none = [](const AnyGate& gate) { return std::holds_alternative<std::monostate>(gate); };
  if (std::all_of(build.gates_.begin(), build.gates_.end(), is_none))
    return Error{.code = Code::usage,
                 .subject = "--proof sequential",
                 .expected = "a gate about answers to decide (--gate)",
                 .got = "none"};
  return build;
}

void SequentialBuild::add(std::span<const SampleScore> build, std::span<const SampleScore> reference) {
  ++units_;
  for (AnyGate& gate : gates_) {
    if (auto* bet = std::get_if<SequentialGate>(&gate))
      bet->add(build.subspan(seen_), reference.subspan(seen_));
    if (auto* look = std::get_if<LookGate>(&gate)) look->add(build, reference, units_);
  }
  seen_ = build.size();
}

Evidence SequentialBuild::evidence_of(const AnyGate& gate) {
  if (const auto* bet = std::get_if<SequentialGate>(&gate)) return bet->evidence();
  if (const auto* look = std::get_if<LookGate>(&gate)) return look->evidence();
  return {.pass_p = 0, .fail_p = 1};  // asks nothing of answers
}

double SequentialBuild::pass_p() const {
  double most = 0;
  for (const AnyGate& gate : gates_) most = std::max(most, evidence_of(gate).pass_p);
  return most;
}

bool SequentialBuild::failed() const {
  return std::any_of(gates_.begin(), gates_.end(), [](const AnyGate& gate) {
    return verdict_of(evidence_of(gate), kSequentialError) == GateResult::Verdict::failed;
  });
}

GateResult SequentialBuild::result(size_t gate, GateResult measured, double alpha) const {
  if (const auto* bet = std::get_if<SequentialGate>(&gates_[gate]))
    return bet->result(std::move(measured), alpha);
  if (const auto* look = std::get_if<LookGate>(&gates_[gate]))
    return look->result(std::move(measured), alpha);
  return measured;
}

Status SequentialBuilds::enter(int64_t units) {
  NARROW_TRY(SequentialBuild build, SequentialBuild::create(gates_, units, seed_));
  builds_.push_back(std::move(build));
  alpha_.push_back(kSequentialError / static_cast<double>(tests_));
  return {};
}

void SequentialBuilds::add(size_t build, std::span<const SampleScore> scores,
                           std::span<const SampleScore> reference) {
  builds_[build].add(scores, reference);
}

void SequentialBuilds::settle() {
  std::vector<double> p;
  for (const SequentialBuild& build : builds_) p.push_back(build.pass_p());
  const int64_t coming = std::max<int64_t>(0, tests_ - static_cast<int64_t>(p.size()));
  const std::vector<int64_t> divisors = holm_divisors(p, coming, kSequentialError);
  for (size_t i = 0; i < p.size(); ++i) alpha_[i] = kSequentialError / static_cast<double>(divisors[i]);
}

}  // namespace narrow::verify
