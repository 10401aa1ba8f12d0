// Uncertainty of paired figures.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace narrow::verify {

struct Interval {
  double low = 0, high = 0;
};

/// `statistic` under resampling of samples with replacement, sorted, not-a-numbers last (Efron & Tibshirani,
/// "An Introduction to the Bootstrap", 1993). `statistic` gets the drawn indices. Deterministic for a seed.
/// Empty without samples.
std::vector<double> resample(int64_t samples,
                             const std::function<double(std::span<const int32_t> drawn)>& statistic,
                             uint64_t seed, int rounds = 1000);
/// The percentile interval of resampled values, two-sided; {0, 0} of none. An end lies beyond all of them
/// when (1 - level) / 2 is less than one of their number: then it is the outermost of them.
Interval percentiles(std::span<const double> resampled, double level = 0.95);
/// Both in one.
Interval bootstrap(int64_t samples, const std::function<double(std::span<const int32_t> drawn)>& statistic,
                   uint64_t seed, int rounds = 1000);

/// Exact two-sided McNemar test: of the samples that only one of two builds got right, is the split 50:50?
/// (McNemar 1947, binomial form). 1 when there are none.
double mcnemar(int64_t only_first_right, int64_t only_second_right);

/// Samples at which an interval of +-1.96 sigma / sqrt(n) around `mean` no longer contains `bound`; 0 when
/// mean equals it or they are not numbers.
int64_t samples_to_settle(double mean, double sigma, double bound);

}  // namespace narrow::verify
