#include "calib/range.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <vector>

namespace narrow::calib {
namespace {

constexpr std::array kNames = {"minmax",         "percentile", "mse",         "entropy",
                               "moving-average", "auto",       "output-error"};

Range with_zero(const Histogram& h, double low, double high) {
  low = std::clamp(low, static_cast<double>(h.min()), static_cast<double>(h.max()));
  high = std::clamp(high, static_cast<double>(h.min()), static_cast<double>(h.max()));
  return {static_cast<float>(std::min(low, 0.0)), static_cast<float>(std::max(high, 0.0))};
}

/// The value below which `share` of the distribution lies, linear inside its bin.
double quantile(const Histogram& h, double share) {
  const double wanted = share * static_cast<double>(h.count());
  double seen = 0;
  for (int64_t i = 0; i < Histogram::kBins; ++i) {
    const auto n = static_cast<double>(h.bins()[static_cast<size_t>(i)]);
    if (n > 0 && seen + n >= wanted)
      return h.center(i) + (std::clamp((wanted - seen) / n, 0.0, 1.0) - 0.5) * h.bin_width();
    seen += n;
  }
  return h.max();
}

Range percentile_range(const Histogram& h, double percentile) {
  const double tail = (1 - percentile / 100) / (h.min() >= 0 || h.max() <= 0 ? 1 : 2);
  return with_zero(h, h.min() >= 0 ? 0 : quantile(h, tail), h.max() <= 0 ? 0 : quantile(h, 1 - tail));
}

/// Golden-section would trust convexity; a grid refined twice around its best does not.
template <class F>
double best_share(F&& cost) {
  double best = 1, least = cost(1.0);
  double low = 0.02, high = 1, step = 0.02;
  for (int round = 0; round < 3; ++round) {
    for (double share = high; share >= low - 1e-12; share -= step) {
      const double c = cost(share);
      if (c < least) least = c, best = share;
    }
    low = std::max(0.005, best - step);
    high = std::min(1.0, best + step);
    step /= 8;
  }
  return best;
}

Range mse_range(const Histogram& h, int64_t levels) {
  const double low = std::min(h.min(), 0.0F), high = std::max(h.max(), 0.0F);
  const auto cost = [&](double a, double b) {
    return expected_squared_error(h, {static_cast<float>(a * low), static_cast<float>(b * high)}, levels)
        .weighted();
  };
  // Both ends shrink together first, then each alone: the errors of the two tails meet only in the common
  // step.
  const double both = best_share([&](double s) { return cost(s, s); });
  double a = both, b = both;
  if (low < 0 && high > 0)
    for (int round = 0; round < 2; ++round) {
      b = best_share([&](double s) { return cost(a, s); });
      a = best_share([&](double s) { return cost(s, b); });
    }
  return with_zero(h, a * low, b * high);
}

/// KL divergence of the histogram of |x| cut at `bins` and spread over `levels`, as in the TensorRT talk.
double kl_divergence(const std::vector<double>& magnitude, size_t bins, size_t levels) {
  std::vector<double> reference(magnitude.begin(), magnitude.begin() + static_cast<int64_t>(bins));
  const double cut = std::accumulate(magnitude.begin() + static_cast<int64_t>(bins), magnitude.end(), 0.0);
  std::vector<double> quantized(bins, 0);
  for (size_t level = 0; level < levels; ++level) {
    const size_t first = level * bins / levels, last = (level + 1) * bins / levels;
    double sum = 0;
    int64_t filled = 0;
    for (size_t i = first; i < last; ++i) sum += reference[i], filled += reference[i] > 0 ? 1 : 0;
    for (size_t i = first; i < last && filled > 0; ++i)
      if (reference[i] > 0) quantized[i] = sum / static_cast<double>(filled);
  }
  reference.back() += cut;
  const double p_sum = std::accumulate(reference.begin(), reference.end(), 0.0),
               q_sum = std::accumulate(quantized.begin(), quantized.end(), 0.0);
  constexpr double kSmoothing =
      1e-4;  // of the mean bin: a bin the quantized side lost costs much, not infinitely
  double divergence = 0;
  for (size_t i = 0; i < bins; ++i) {
    const double p = reference[i] / p_sum;
    const double q = std::max(q_sum > 0 ? quantized[i] / q_sum : 0, kSmoothing / static_cast<double>(bins));
    if (p > 0) divergence += p * std::log(p / q);
  }
  return divergence;
}

Range entropy_range(const Histogram& h, int64_t levels) {
  const double widest =
      std::max(std::fabs(static_cast<double>(h.min())), std::fabs(static_cast<double>(h.max())));
  const bool two_sided = h.min() < 0 && h.max() > 0;
  const auto half = static_cast<size_t>(two_sided ? levels / 2 : levels);
  std::vector<double> magnitude(Histogram::kBins / 2, 0);
  for (int64_t i = 0; i < Histogram::kBins; ++i) {
    const int64_t from_zero =
        i >= Histogram::kBins / 2 ? i - Histogram::kBins / 2 : Histogram::kBins / 2 - 1 - i;
    magnitude[static_cast<size_t>(from_zero)] += static_cast<double>(h.bins()[static_cast<size_t>(i)]);
  }
  // Exact zeros are kept exactly by every scale; they would drown the rest.
  magnitude[0] = std::max(0.0, magnitude[0] - static_cast<double>(h.zeros()));
  const auto used = std::min(magnitude.size(), static_cast<size_t>(std::ceil(widest / h.bin_width())) + 1);
  magnitude.resize(used);
  if (used <= half || std::accumulate(magnitude.begin(), magnitude.end(), 0.0) == 0)
    return with_zero(h, h.min(), h.max());
  size_t best = used;
  double least = kl_divergence(magnitude, used, half);
  for (size_t bins = half; bins < used; bins += std::max<size_t>(1, used / 256)) {
    const double divergence = kl_divergence(magnitude, bins, half);
    if (divergence < least) least = divergence, best = bins;
  }
  const double limit = static_cast<double>(best) * h.bin_width();
  return with_zero(h, -limit, limit);
}

}  // namespace

const char* to_string(Method method) { return kNames.at(static_cast<size_t>(method)); }

std::optional<Method> parse_method(std::string_view name) {
  for (size_t i = 0; i < kNames.size(); ++i)
    if (name == kNames.at(i)) return static_cast<Method>(i);
  return std::nullopt;
}

SquaredError expected_squared_error(const Histogram& h, Range range, int64_t levels) {
  if (h.count() == 0) return {};
  const double low = range.low, high = range.high, step = (high - low) / static_cast<double>(levels - 1);
  double clipped = 0;
  int64_t inside = 0;
  for (int64_t i = 0; i < Histogram::kBins; ++i) {
    const int64_t n = h.bins()[static_cast<size_t>(i)];
    if (n == 0) continue;
    const double x = std::clamp(h.center(i), static_cast<double>(h.min()), static_cast<double>(h.max()));
    const double beyond = std::max({low - x, x - high, 0.0});
    clipped += static_cast<double>(n) * beyond * beyond;
    inside += x < low || x > high ? 0 : n;
  }
  const double rounded = static_cast<double>(std::max<int64_t>(0, inside - h.zeros())) * step * step / 12;
  const auto count = static_cast<double>(h.count());
  return {rounded / count, clipped / count};
}

Range choose_range(const Histogram& h, const RangeOptions& options) {
  if (h.count() == 0) return {};
  switch (options.method) {
    case Method::percentile:
      return percentile_range(h, options.percentile);
    case Method::mse:
      return mse_range(h, options.levels);
    case Method::entropy:
      return entropy_range(h, options.levels);
    default:
      break;
  }
  return with_zero(h, h.min(), h.max());
}

}  // namespace narrow::calib
