#include "search/blame.h"

#include <fmt/format.h>

#include <cmath>

namespace narrow::search {
namespace {

constexpr double kMost = 0.5;

/// "conv_1 (62%), conv_2 (21%)".
std::string list(const std::vector<Contribution>& worst, size_t count, double noise) {
  std::string text;
  for (size_t i = 0; i < count; ++i)
    text += fmt::format("{}{} ({:.0f}%)", i == 0 ? "" : ", ", worst[i].node, 100 * worst[i].noise / noise);
  return text;
}

}  // namespace

Blame blame(double noise, std::vector<Contribution> ranked, const std::vector<double>& together,
            int64_t layers) {
  Blame result;
  result.worst = std::move(ranked);
  if (!(noise > 0) || together.empty()) {
    result.text = noise > 0 ? "no layer was measured alone" : "no error at the outputs";
    return result;
  }
  size_t few = 1;
  while (few < together.size() && together[few - 1] < kMost * noise) ++few;
  result.share = together[few - 1] / noise;
  const std::string who = list(result.worst, few, noise);
  if (result.share >= kMost) {
    result.kind = Blame::Kind::isolated;
    result.text =
        fmt::format("isolated: {} of {} layers bring {:.0f}% of the noise at the outputs together; alone: {}",
                    few, layers, 100 * result.share, who);
  } else {
    result.kind = Blame::Kind::accumulated;
    result.text = fmt::format(
        "accumulated: the {} worst of {} layers bring {:.0f}% of the noise at the outputs together; alone: "
        "{}; "
        "without them {:.1f} dB are gained, the rest is the sum of many",
        few, layers, 100 * result.share, who, -10 * std::log10(1 - result.share));
  }
  return result;
}

}  // namespace narrow::search
