// Several builds tried on one set of samples: the more there are, the likelier one of them looks good by
// chance.
#pragma once

#include <cstdint>
#include <vector>

namespace narrow::verify {

/// Holm's step-down: by how much the error of each of these tests must be divided so that the probability of
/// any wrong pass stays at `alpha` (Holm, "A simple sequentially rejective multiple test procedure", Scand.
/// J. Statist. 6, 1979). `p` one-sided, of the tests that can still pass; `others` are tests that were made
/// on the same samples and given up. The smallest p is divided by all there are, the next by one less, until
/// one does not hold: all after it share its divisor.
std::vector<int64_t> holm_divisors(const std::vector<double>& p, int64_t others, double alpha);

/// The most that the best of `tried` equally good builds flatters itself on the average, in the unit of its
/// standard error `deviation / sqrt(samples)`: error * sqrt(2 ln tried), whatever the builds share
/// (Boucheron, Lugosi & Massart, "Concentration Inequalities", 2013, theorem 2.5). 0 of one build.
double selection_bias(double deviation, int64_t samples, int64_t tried);

}  // namespace narrow::verify
