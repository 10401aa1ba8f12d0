// Gates decided while samples come in: looked at after every sample, stopped as soon as they are decided, and
// wrong no more often than promised.
//
// A gate about a mean of bounded numbers is a bet. Whoever bets the share f of his money that the mean lies
// below a bound m multiplies it by 1 + f (m - x) / (high - m) with every sample x <= high. If the mean is m
// or more, he wins nothing on the average, and the probability that his money ever grows 1/alpha-fold is at
// most alpha, however often one looks (Ville 1939). The money here is spread over several f, so that none has
// to be guessed. Source: Waudby-Smith & Ramdas, "Estimating means of bounded random variables by betting",
// JRSS-B 86, 2024, sections 4 and B.
#pragma once

#include <span>
#include <vector>

#include "base/result.h"
#include "verify/figures.h"
#include "verify/gate.h"
#include "verify/scores.h"

namespace narrow::verify {

/// Logarithm of the money of who bets that the mean of numbers in [low, high] lies below `bound`, in
/// (low, high). Numbers are taken as they come, one at a time.
class Bet {
 public:
  Bet(double bound, double high);
  void add(double x);
  double log_money() const;
  double most() const { return most_; }  // there ever was

 private:
  double bound_, high_, most_ = 0;
  std::vector<double> log_each_;
};

/// Where a mean of numbers in [low, high] lies with probability 1 - 2 alpha, at all sample sizes at once: the
/// bounds that neither side's bet has refuted by now.
Interval betting_interval(std::span<const double> numbers, double low, double high, double alpha);

/// Of either error: passing what should fail, failing what should pass.
constexpr double kSequentialError = 0.025;

/// How probable it is at most that evidence this good for passing, or for failing, ever comes when the truth
/// is the other way. They hold whenever one looks and whyever one stops.
struct Evidence {
  double pass_p = 1, fail_p = 1;
};
/// Passed at `alpha`; failed at kSequentialError, which is not divided among several builds: to fail wrongly
/// costs a build, not a proof. Evidence for both decides nothing.
GateResult::Verdict verdict_of(const Evidence& evidence, double alpha);

/// One gate's way to its verdict.
class SequentialGate {
 public:
  /// Error usage: the gate is not about a mean of bounded numbers (a share, or its change).
  static Result<SequentialGate> create(const Gate& gate, double alpha = kSequentialError);
  /// A unit of samples that were drawn together (a fixed batch); usually one.
  void add(std::span<const SampleScore> build, std::span<const SampleScore> reference);
  GateResult::Verdict verdict() const { return verdict_of(evidence(), alpha_); }
  Evidence evidence() const;
  int64_t units() const { return static_cast<int64_t>(numbers_.size()); }
  /// `value` and its unit are those of `measured`, a point verdict on the samples seen; `alpha` of passing.
  GateResult result(GateResult measured, double alpha) const;
  GateResult result(GateResult measured) const { return result(std::move(measured), alpha_); }

 private:
  SequentialGate(Gate gate, double alpha, double high, double bound)
      : gate_(std::move(gate)), alpha_(alpha), high_(high), below_(bound, high), above_(-bound, -low()) {}
  double low() const { return gate_.form == Gate::Form::value ? 0 : -1; }
  double number(const SampleScore& build, const SampleScore& reference) const;

  Gate gate_;
  double alpha_, high_;
  Bet below_, above_;
  std::vector<double> numbers_;
};

}  // namespace narrow::verify
