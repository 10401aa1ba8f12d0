#include "quant/range_candidates.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace narrow::quant {
namespace {

using calib::Method;
using calib::Range;

constexpr std::array kMethods = {Method::mse, Method::minmax, Method::percentile, Method::entropy,
                                 Method::moving_average};
/// Of the range of `mse`, which weighs the errors of a value as if all readers were alike: what a layer
/// answers may want finer steps or less clipping.
constexpr std::array kShares = {0.85F, 0.7F, 0.55F, 0.4F, 0.25F, 0.15F, 1.2F, 1.5F};

bool alike(const Range& a, const Range& b) {
  constexpr double kClose = 5e-3;
  const double width = std::max(static_cast<double>(a.high) - static_cast<double>(a.low), 1e-30);
  return std::fabs(static_cast<double>(a.low) - static_cast<double>(b.low)) < kClose * width &&
         std::fabs(static_cast<double>(a.high) - static_cast<double>(b.high)) < kClose * width;
}

}  // namespace

std::vector<RangeCandidate> range_candidates(const calib::Profile& profile, const std::string& value,
                                             calib::RangeOptions options) {
  std::vector<RangeCandidate> list;
  const auto add = [&](Method method, Range range) {
    if (std::none_of(list.begin(), list.end(),
                     [&](const RangeCandidate& known) { return alike(known.range, range); }))
      list.push_back({method, range});
  };
  for (const Method method : kMethods) {
    options.method = method;
    add(method, calib::range_of(profile, value, options));
  }
  options.method = Method::minmax;
  const Range all = calib::range_of(profile, value, options), start = list.front().range;
  for (const float share : kShares)
    add(Method::mse, {std::max(share * start.low, all.low), std::min(share * start.high, all.high)});
  return list;
}

}  // namespace narrow::quant
