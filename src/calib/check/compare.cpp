#include "calib/check/compare.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace narrow::calib {
namespace {

/// The bin over [-limit, limit) that holds x; the outermost take what lies beyond.
int64_t bin_of(double x, double limit) {
  const double bin = std::floor((x + limit) / (2 * limit) * Histogram::kBins);
  return static_cast<int64_t>(std::clamp(bin, 0.0, static_cast<double>(Histogram::kBins - 1)));
}

/// Shares per bin over [-limit, limit). Limits are powers of two: bins of a smaller one nest.
std::vector<double> shares_within(const Histogram& h, double limit) {
  std::vector<double> shares(Histogram::kBins, 0);
  for (int64_t i = 0; i < Histogram::kBins; ++i)
    shares[static_cast<size_t>(bin_of(h.center(i), limit))] +=
        static_cast<double>(h.bins()[static_cast<size_t>(i)]) / static_cast<double>(h.count());
  return shares;
}

double log_choose(int64_t n, int64_t k) {
  const auto dn = static_cast<double>(n), dk = static_cast<double>(k);
  return std::lgamma(dn + 1) - std::lgamma(dk + 1) - std::lgamma(dn - dk + 1);
}

}  // namespace

double psi(std::span<const double> expected, std::span<const double> actual) {
  double sum = 0;
  for (size_t k = 0; k < expected.size(); ++k) {
    const double e = std::max(expected[k], kLeastShare), a = std::max(actual[k], kLeastShare);
    sum += (a - e) * std::log(a / e);
  }
  return sum;
}

double ks(std::span<const double> a, std::span<const double> b) {
  double difference = 0, most = 0;
  for (size_t k = 0; k < a.size(); ++k) {
    difference += a[k] - b[k];
    most = std::max(most, std::fabs(difference));
  }
  return most;
}

double ks(const Histogram& a, const Histogram& b) {
  if (a.count() == 0 || b.count() == 0) return 0;
  const double limit = std::max(a.limit(), b.limit());
  return ks(shares_within(a, limit), shares_within(b, limit));
}

double range_coverage(const Histogram& a, const Histogram& b) {
  if (b.count() == 0) return 1;
  const auto low = static_cast<double>(b.min()), high = static_cast<double>(b.max()), width = high - low;
  const double inside =
      std::min(high, static_cast<double>(a.max())) - std::max(low, static_cast<double>(a.min()));
  if (width == 0) return a.count() > 0 && inside >= 0 ? 1 : 0;
  return a.count() == 0 ? 0 : std::max(0.0, inside) / width;
}

double share_outside(const Histogram& h, Range range) {
  if (h.count() == 0) return 0;
  int64_t outside = 0;
  for (int64_t i = 0; i < Histogram::kBins; ++i) {
    const double x = std::clamp(h.center(i), static_cast<double>(h.min()), static_cast<double>(h.max()));
    if (x < static_cast<double>(range.low) || x > static_cast<double>(range.high))
      outside += h.bins()[static_cast<size_t>(i)];
  }
  return static_cast<double>(outside) / static_cast<double>(h.count());
}

double range_loss_db(const Histogram& h, Range chosen, Range best, int64_t levels) {
  const double with = expected_squared_error(h, chosen, levels).weighted(),
               least = expected_squared_error(h, best, levels).weighted();
  if (!(with > least)) return 0;
  return least > 0 ? std::min(kMostLoss, 10 * std::log10(with / least)) : kMostLoss;
}

double chance_of_exceeding(int64_t n, int64_t m, int64_t r) {
  if (r <= 0) return 1;
  return r > m ? 0 : std::exp(log_choose(m, r) - log_choose(n + m, r));
}

Parts::Parts(const Histogram& reference) {
  if (reference.count() == 0) return;
  limit_ = reference.limit();
  const auto& bins = reference.bins();
  const auto is_filled = [](int64_t n) { return n > 0; };
  const auto first = std::find_if(bins.begin(), bins.end(), is_filled) - bins.begin(),
             last = bins.rend() - std::find_if(bins.rbegin(), bins.rend(), is_filled) - 1;
  // A bin's tenth is the one its middle lies in when values are counted from below; tenths that no bin's
  // middle lies in do not exist. Empty bins between go with the nearest below.
  int64_t part = 0, tenth = -1, seen = 0;
  for (int64_t i = 0; i < Histogram::kBins; ++i) {
    const int64_t n = bins[static_cast<size_t>(i)];
    const double middle =
        (static_cast<double>(seen) + 0.5 * static_cast<double>(n)) / static_cast<double>(reference.count());
    const int64_t mine = i > last ? kTenths : std::min(kTenths - 1, static_cast<int64_t>(middle * kTenths));
    if (i > last ? tenth != kTenths : i >= first && n > 0 && mine != tenth) ++part, tenth = mine;
    of_bin_[static_cast<size_t>(i)] = static_cast<uint8_t>(part);
    seen += n;
  }
  count_ = part + 1;
}

void Parts::count(const Histogram& h, Counts& counts) const {
  counts.resize(static_cast<size_t>(count_), 0);
  if (h.count() == 0) return;
  for (int64_t i = 0; i < Histogram::kBins; ++i)
    if (const int64_t n = h.bins()[static_cast<size_t>(i)]; n > 0)
      counts[of_bin_[static_cast<size_t>(bin_of(h.center(i), limit_))]] += n;
}

std::vector<double> shares_of(std::span<const int64_t> counts) {
  const auto sum = static_cast<double>(std::accumulate(counts.begin(), counts.end(), int64_t{0}));
  std::vector<double> shares(counts.size(), 0);
  for (size_t i = 0; i < counts.size() && sum > 0; ++i) shares[i] = static_cast<double>(counts[i]) / sum;
  return shares;
}

}  // namespace narrow::calib
