// How far two distributions of one value are apart: shape, and what a range chosen on one does to the other.
// Pure functions of histograms; docs/data-check.md has each formula with its source.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "calib/histogram.h"
#include "calib/range.h"

namespace narrow::calib {

/// Values, or samples, per part.
using Counts = std::vector<int64_t>;

/// Population stability index of shares that each sum to 1:  sum_k (a_k - e_k) ln(a_k / e_k). Both are raised
/// to kLeastShare first: an empty part is far from a full one, not infinitely far.
double psi(std::span<const double> expected, std::span<const double> actual);
constexpr double kLeastShare = 1e-4;

/// Kolmogorov-Smirnov distance, the largest difference of the cumulative shares, at the bin edges that both
/// histograms have. 0 when one is empty.
double ks(const Histogram& a, const Histogram& b);
/// The same of shares of common parts, in order.
double ks(std::span<const double> a, std::span<const double> b);

/// The share of [b.min, b.max] that [a.min, a.max] covers; 1 where b is a single point inside.
double range_coverage(const Histogram& a, const Histogram& b);

/// The share of values outside the range; a bin counts where its centre lies.
double share_outside(const Histogram& h, Range range);

/// What quantizing `h` over `chosen` costs against its own `best` range, in dB of squared error (range.h's
/// weighting): 6 dB are one bit. Never negative, at most kMostLoss.
double range_loss_db(const Histogram& h, Range chosen, Range best, int64_t levels);
constexpr double kMostLoss = 99;

/// Of n old and m new exchangeable samples: the probability that the r largest are all new,
/// C(m, r) / C(n + m, r). The exact test of "evaluation leaves the range of calibration" (precedence test).
double chance_of_exceeding(int64_t n, int64_t m, int64_t r);

/// A partition of the real line: at most ten parts that hold about equal shares of a reference, what lies
/// below all of it, and what lies above. A bin that is heavier than a tenth (zeros after a ReLU) gets a part
/// for itself. Parts are runs of histogram bins, in order; deciles are what the customary limits of PSI are
/// about.
class Parts {
 public:
  static constexpr int64_t kTenths = 10;

  explicit Parts(const Histogram& reference);
  int64_t count() const { return count_; }
  double limit() const { return limit_; }
  /// By bin over [-limit, limit); values beyond belong to the outermost.
  const std::array<uint8_t, Histogram::kBins>& of_bin() const { return of_bin_; }
  /// Counts of a histogram's values per part are added. Exact while its bins are no wider than the
  /// reference's.
  void count(const Histogram& h, Counts& counts) const;

 private:
  std::array<uint8_t, Histogram::kBins> of_bin_{};
  double limit_ = 1;
  int64_t count_ = 1;
};

/// counts / sum; zeros when there are none.
std::vector<double> shares_of(std::span<const int64_t> counts);

}  // namespace narrow::calib
