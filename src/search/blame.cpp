#include "search/blame.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace narrow::search {
namespace {

constexpr size_t kFew = 3;
constexpr double kMost = 0.5;

double decibels(double noise) { return -10 * std::log10(noise); }

/// "conv_1 (62%), conv_2 (21%)".
std::string list(const std::vector<Contribution>& worst, size_t count, double noise) {
  std::string text;
  for (size_t i = 0; i < count; ++i)
    text += fmt::format("{}{} ({:.0f}%)", i == 0 ? "" : ", ", worst[i].node, 100 * worst[i].noise / noise);
  return text;
}

}  // namespace

Blame blame(double noise, std::vector<Contribution> measured, int64_t layers) {
  Blame result;
  std::stable_sort(measured.begin(), measured.end(),
                   [](const Contribution& a, const Contribution& b) { return a.noise > b.noise; });
  result.worst = std::move(measured);
  if (!(noise > 0) || result.worst.empty()) {
    result.text = "no layer was measured alone";
    if (!(noise > 0)) result.text = "no error at the outputs";
    return result;
  }
  double sum = 0;
  size_t few = 0;
  while (few < std::min(kFew, result.worst.size()) && sum < kMost * noise) sum += result.worst[few++].noise;
  result.share = std::min(1.0, sum / noise);
  if (sum >= kMost * noise) {
    result.kind = Blame::Kind::isolated;
    result.text = fmt::format("isolated: {} of {} layers bring {:.0f}% of the noise at the outputs: {}", few,
                              layers, 100 * result.share, list(result.worst, few, noise));
  } else {
    result.kind = Blame::Kind::accumulated;
    result.text = fmt::format(
        "accumulated: the {} worst of {} layers bring {:.0f}% of the noise at the outputs: {}; without them "
        "{:.1f} dB would be gained, the rest is the sum of many",
        few, layers, 100 * result.share, list(result.worst, few, noise), decibels(1 - result.share));
  }
  return result;
}

}  // namespace narrow::search
