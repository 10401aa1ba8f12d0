#include "verify/statistics.h"

#include <algorithm>
#include <cmath>

#include "base/random.h"

namespace narrow::verify {

std::vector<double> resample(int64_t samples,
                             const std::function<double(std::span<const int32_t>)>& statistic, uint64_t seed,
                             int rounds) {
  if (samples == 0) return {};
  Random random(seed);
  std::vector<int32_t> drawn(static_cast<size_t>(samples));
  std::vector<double> values;
  for (int round = 0; round < rounds; ++round) {
    for (int32_t& index : drawn) index = static_cast<int32_t>(random.integer(0, samples - 1));
    values.push_back(statistic(drawn));
  }
  // A statistic that is not a number sorts last: an interval that holds one ends in it.
  std::sort(values.begin(), values.end(), [](double a, double b) { return a < b || (b != b && a == a); });
  return values;
}

Interval percentiles(std::span<const double> resampled, double level) {
  if (resampled.empty()) return {};
  const auto at = [&](double share) {
    return resampled[static_cast<size_t>(std::lround(share * static_cast<double>(resampled.size() - 1)))];
  };
  return {at((1 - level) / 2), at((1 + level) / 2)};
}

Interval bootstrap(int64_t samples, const std::function<double(std::span<const int32_t>)>& statistic,
                   uint64_t seed, int rounds) {
  return percentiles(resample(samples, statistic, seed, rounds));
}

double mcnemar(int64_t b, int64_t c) {
  const int64_t n = b + c, k = std::min(b, c);
  if (n == 0) return 1;
  double tail = 0;
  for (int64_t i = 0; i <= k; ++i) {
    const auto di = static_cast<double>(i), dn = static_cast<double>(n);
    tail +=
        std::exp(std::lgamma(dn + 1) - std::lgamma(di + 1) - std::lgamma(dn - di + 1) - dn * std::log(2.0));
  }
  return std::min(1.0, 2 * tail);
}

int64_t samples_to_settle(double mean, double sigma, double bound) {
  const double distance = std::fabs(bound - mean);
  if (!(distance > 0) || !std::isfinite(sigma)) return 0;
  const double n = 1.96 * sigma / distance;
  return static_cast<int64_t>(std::ceil(std::min(n * n, 1e12)));
}

}  // namespace narrow::verify
