// Builds whose gates are decided while samples come in, several on the same samples: how many are tried is
// accounted for.
//
// A build passes when all of its gates do, so that its p is the largest of theirs (intersection-union test:
// Berger, Technometrics 24, 1982). The p of gates hold at any time, so Holm's step-down (multiple.h) may be
// asked after every sample; what it once let pass stays passed, since p only fall (Bartroff & Song,
// "Sequential tests of multiple hypotheses controlling type I and II familywise error rates", J. Statist.
// Plann. Inference 153, 2014).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <variant>
#include <vector>

#include "base/result.h"
#include "verify/gate.h"
#include "verify/look_gate.h"
#include "verify/scores.h"
#include "verify/sequential.h"

namespace narrow::verify {

/// The gates of one build.
class SequentialBuild {
 public:
  /// Gates that are not about answers are left out of the proof. `units` there are in all. Errors usage:
  /// those of the gates; none is about answers.
  static Result<SequentialBuild> create(const std::vector<Gate>& gates, int64_t units, uint64_t seed);
  /// All scores so far; those since the last time are one more unit.
  void add(std::span<const SampleScore> build, std::span<const SampleScore> reference);
  int64_t units() const { return units_; }
  double pass_p() const;
  bool failed() const;
  bool decided(double alpha) const { return pass_p() <= alpha || failed(); }
  /// Of gates[gate]; `measured` where that is not about answers.
  GateResult result(size_t gate, GateResult measured, double alpha) const;

 private:
  using AnyGate = std::variant<std::monostate, SequentialGate, LookGate>;
  static Evidence evidence_of(const AnyGate& gate);

  std::vector<AnyGate> gates_;
  size_t seen_ = 0;  // samples
  int64_t units_ = 0;
};

/// Builds against one data set.
class SequentialBuilds {
 public:
  /// `tests`: how many builds will enter at most.
  SequentialBuilds(std::vector<Gate> gates, uint64_t seed, int64_t tests)
      : gates_(std::move(gates)), seed_(seed), tests_(tests) {}
  /// Another build, with `units` before it. Errors: those of SequentialBuild::create().
  Status enter(int64_t units);
  void add(size_t build, std::span<const SampleScore> scores, std::span<const SampleScore> reference);
  /// After every unit: who has passed by now.
  void settle();
  bool passed(size_t build) const { return builds_[build].pass_p() <= alpha_[build]; }
  bool open(size_t build) const { return !passed(build) && !builds_[build].failed(); }
  /// The error at which this build passes, kSequentialError divided by what Holm says.
  double alpha(size_t build) const { return alpha_[build]; }
  int64_t tests() const { return tests_; }
  const SequentialBuild& operator[](size_t build) const { return builds_[build]; }
  size_t size() const { return builds_.size(); }

 private:
  std::vector<Gate> gates_;
  uint64_t seed_;
  int64_t tests_;
  std::vector<SequentialBuild> builds_;
  std::vector<double> alpha_;
};

}  // namespace narrow::verify
