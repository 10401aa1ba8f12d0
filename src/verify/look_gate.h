// Gates about figures that are no means of bounded numbers (kld, perplexity, sqnr, ...): looked at a few
// times while samples come in, at sizes fixed beforehand.
//
// A divergence has no largest value, so that no bet on its mean can be won against every distribution
// (Bahadur & Savage, "The nonexistence of certain statistical procedures in nonparametric problems", Ann.
// Math. Statist. 27, 1956). What is left is approximate, as with Proof::ci: a paired bootstrap at every look,
// its error divided by the number of looks (Bonferroni). A look at few samples asks for the far tail of a
// skewed figure, where plain percentiles err: they are corrected for bias and skewness (BCa: Efron, "Better
// bootstrap confidence intervals", JASA 82, 1987).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "verify/figures.h"
#include "verify/gate.h"
#include "verify/scores.h"
#include "verify/sequential.h"

namespace narrow::verify {

/// Sizes at which is looked: a 64th, a 16th, a quarter of all and all; those below 50 are left out, since a
/// bootstrap of so few says little of the tails.
std::vector<int64_t> look_sizes(int64_t all);

/// One-sided p of "the figure, or its change, is `bound` or more", and of "... or less" (fail_p), from sorted
/// resampled values:
///   w = Phi^-1(share below the bound) - z0,   z = w / (1 + a w) - z0,   p = 1 - Phi(z)
///   z0 = Phi^-1(share below the estimate), a the acceleration.
/// Phi^-1 goes on in a straight line where a bound lies beyond all of them.
Evidence corrected_p(std::span<const double> resampled, double estimate, double acceleration, double bound);

class LookGate {
 public:
  /// `units` there are in all. Error usage: the gate is about the number of a program (`metric`).
  static Result<LookGate> create(const Gate& gate, int64_t units, uint64_t seed);
  /// All scores so far, of `units` units. Looks when it is time to.
  void add(std::span<const SampleScore> build, std::span<const SampleScore> reference, int64_t units);
  Evidence evidence() const { return evidence_; }
  GateResult result(GateResult measured, double alpha) const;

 private:
  LookGate(Gate gate, std::vector<int64_t> looks, uint64_t seed)
      : gate_(std::move(gate)), looks_(std::move(looks)), seed_(seed) {}

  Gate gate_;
  std::vector<int64_t> looks_;
  uint64_t seed_;
  size_t taken_ = 0;  // looks
  Evidence evidence_;
};

}  // namespace narrow::verify
