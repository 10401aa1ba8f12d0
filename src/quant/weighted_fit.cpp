#include "quant/weighted_fit.h"

#include <cmath>

#include "quant/code_levels.h"
#include "quant/three_codes.h"

namespace narrow::quant {
namespace {

class WeightedFitter {
 public:
  WeightedFitter(std::span<const float> group, std::span<const float> importance, const GroupOptions& options,
                 bool half_scales)
      : group_(group),
        importance_(importance),
        options_(options),
        half_scales_(half_scales),
        levels_(code_levels(options)) {}

  ScaleFit run() {
    consider(fit_group(group_, options_, half_scales_));
    const auto [least, most] = std::minmax_element(group_.begin(), group_.end());
    const float low = std::min(*least, 0.0F), high = std::max(*most, 0.0F);
    if (low == high) return best_;
    if (options_.set == CodeSet::ternary) {
      consider({stored(scale_of_three_codes(group_, importance_)), 0});
      return best_;
    }
    for (int percent = 105; percent >= 51; percent -= 3)
      try_range(static_cast<float>(percent) / 100 * low, static_cast<float>(percent) / 100 * high);
    for (int round = 0; round < 3 && refit(); ++round) {
    }
    return best_;
  }

 private:
  bool consider(const ScaleFit& fit) {
    const double error = weighted_error(group_, importance_, options_, fit);
    if (least_ >= 0 && !(error < least_)) return false;
    least_ = error, best_ = fit;
    return true;
  }

  float stored(float scale) const { return half_scales_ ? half_scale(scale) : scale; }

  void try_range(float low, float high) {
    if (options_.symmetric) {
      consider(
          {stored(std::max(high / static_cast<float>(levels_.high), low / static_cast<float>(levels_.low))),
           0});
      return;
    }
    const float scale = stored((high - low) / static_cast<float>(levels_.high));
    const auto middle = static_cast<int>(std::lround(-low / scale));
    for (int zero = std::max(middle - 1, 0); zero <= std::min(middle + 1, levels_.high); ++zero)
      consider({scale, zero});
  }

  bool refit() {
    double product = 0, square = 0;
    for (size_t i = 0; i < group_.size(); ++i) {
      const double q = code_of(group_[i], best_, levels_) - best_.zero_point;
      product += static_cast<double>(importance_[i]) * static_cast<double>(group_[i]) * q;
      square += static_cast<double>(importance_[i]) * q * q;
    }
    if (!(product > 0) || !(square > 0)) return false;
    const float scale = stored(static_cast<float>(product / square));
    return scale > 0 && std::isfinite(scale) && consider({scale, best_.zero_point});
  }

  std::span<const float> group_, importance_;
  const GroupOptions& options_;
  bool half_scales_;
  CodeLevels levels_;
  double least_ = -1;
  ScaleFit best_;
};

}  // namespace

double weighted_error(std::span<const float> group, std::span<const float> importance,
                      const GroupOptions& options, const ScaleFit& fit) {
  const CodeLevels levels = code_levels(options);
  double sum = 0;
  for (size_t i = 0; i < group.size(); ++i) {
    const float back = static_cast<float>(code_of(group[i], fit, levels) - fit.zero_point) * fit.scale;
    const double error = static_cast<double>(group[i]) - static_cast<double>(back);
    sum += static_cast<double>(importance[i]) * error * error;
  }
  return sum;
}

ScaleFit fit_weighted(std::span<const float> group, std::span<const float> importance,
                      const GroupOptions& options, bool half_scales) {
  return WeightedFitter(group, importance, options, half_scales).run();
}

}  // namespace narrow::quant
