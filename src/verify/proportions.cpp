#include "verify/proportions.h"

#include <algorithm>
#include <cmath>

namespace narrow::verify {
namespace {

/// The likeliest probability of `gained` (a share of the samples, as are `lost` and `gained`) when that of
/// `lost` is larger by `drop` >= 0: the larger root of 2 q^2 + B q - gained drop (1 - drop).
double likeliest(double lost, double gained, double drop) {
  const double b = -lost - gained + (2 - lost + gained) * drop, c = -gained * drop * (1 - drop);
  return std::max(0.0, (std::sqrt(std::max(0.0, b * b - 8 * c)) - b) / 4);
}

/// Where a falling function crosses zero in [low, high].
template <class F>
double crossing(double low, double high, F&& falling) {
  for (int halved = 0; halved < 60; ++halved) {
    const double middle = 0.5 * (low + high);
    (falling(middle) > 0 ? low : high) = middle;
  }
  return 0.5 * (low + high);
}

double quantile_of_level(double level) { return normal_quantile(0.5 + 0.5 * level); }

}  // namespace

double normal_cdf(double z) { return 0.5 * std::erfc(-z / std::sqrt(2.0)); }

double normal_quantile(double p) {
  return crossing(-40, 40, [&](double z) { return p - normal_cdf(z); });
}

double tango_z(const PairedCounts& counts, double drop) {
  if (drop < 0) return -tango_z({counts.samples, counts.gained, counts.lost}, -drop);
  const auto n = static_cast<double>(counts.samples), lost = static_cast<double>(counts.lost),
             gained = static_cast<double>(counts.gained);
  if (counts.samples == 0) return 0;
  const double q = likeliest(lost / n, gained / n, drop), variance = n * (2 * q + drop * (1 - drop)),
               distance = lost - gained - n * drop;
  if (distance == 0) return 0;
  return variance > 0 ? distance / std::sqrt(variance) : std::copysign(INFINITY, distance);
}

double noninferiority_p(const PairedCounts& counts, double margin) {
  return normal_cdf(tango_z(counts, margin));
}

Interval tango_interval(const PairedCounts& counts, double level) {
  if (counts.samples == 0) return {-1, 1};
  const double z = quantile_of_level(level),
               seen = static_cast<double>(counts.lost - counts.gained) / static_cast<double>(counts.samples);
  return {crossing(-1, seen, [&](double drop) { return tango_z(counts, drop) - z; }),
          crossing(seen, 1, [&](double drop) { return tango_z(counts, drop) + z; })};
}

double wilson_z(const Share& share, double expected) {
  const auto n = static_cast<double>(share.samples);
  const double distance = static_cast<double>(share.yes) - n * expected,
               variance = n * expected * (1 - expected);
  if (distance == 0) return 0;
  return variance > 0 ? distance / std::sqrt(variance) : std::copysign(INFINITY, distance);
}

Interval wilson_interval(const Share& share, double level) {
  if (share.samples == 0) return {0, 1};
  const auto n = static_cast<double>(share.samples);
  const double z = quantile_of_level(level), p = static_cast<double>(share.yes) / n, squared = z * z / n,
               centre = (p + squared / 2) / (1 + squared),
               half = std::sqrt(squared * (p * (1 - p) + squared / 4)) / (1 + squared);
  return {share.yes == 0 ? 0 : centre - half, share.yes == share.samples ? 1 : centre + half};
}

int64_t samples_to_show(double margin, double discordance, double level, double power) {
  if (!(margin > 0) || margin >= 1 || !(discordance >= 0)) return 0;
  const double q = likeliest(discordance / 2, discordance / 2, margin),
               assumed = 2 * q + margin * (1 - margin),
               root = (quantile_of_level(level) * std::sqrt(assumed) +
                       normal_quantile(power) * std::sqrt(discordance)) /
                      margin;
  return static_cast<int64_t>(std::ceil(std::min(root * root, 1e12)));
}

}  // namespace narrow::verify
