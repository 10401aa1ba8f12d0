// The codes that a weight in a group may get.
#pragma once

#include <algorithm>

#include "quant/groups.h"

namespace narrow::quant {

/// [low, high], zero points added.
struct CodeLevels {
  int low, high;
};

inline CodeLevels code_levels(const GroupOptions& options) {
  const int half = 1 << (options.bits - 1);
  return options.symmetric ? CodeLevels{-half, half - 1} : CodeLevels{0, 2 * half - 1};
}

/// The nearest code of x, ties to even.
inline int code_of(float x, const ScaleFit& fit, const CodeLevels& levels) {
  // Adding 1.5 * 2^23 rounds to even; quotients here are far below 2^22.
  const float quotient = std::clamp(x / fit.scale, -1024.0F, 1024.0F);
  const float rounded = (quotient + 12582912.0F) - 12582912.0F;
  return std::clamp(static_cast<int>(rounded) + fit.zero_point, levels.low, levels.high);
}

}  // namespace narrow::quant
