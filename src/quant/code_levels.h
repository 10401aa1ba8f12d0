// The codes that a weight in a group may get.
#pragma once

#include <algorithm>

#include "quant/groups.h"

namespace narrow::quant {

/// low, low + stride, ... high, zero points added.
struct CodeLevels {
  int low, high, stride = 1;
};

inline CodeLevels code_levels(const GroupOptions& options) {
  if (options.set == CodeSet::binary) return {-1, 1, 2};
  if (options.set == CodeSet::ternary) return {-1, 1};
  if (options.bits == 8) return {-127, 127};
  const int half = 1 << (options.bits - 1);
  return options.symmetric ? CodeLevels{-half, half - 1} : CodeLevels{0, 2 * half - 1};
}

/// The nearest code of x, ties to even.
inline int code_of(float x, const ScaleFit& fit, const CodeLevels& levels) {
  if (levels.stride == 2) return x >= 0 ? levels.high : levels.low;  // two codes about 0
  // Adding 1.5 * 2^23 rounds to even; quotients here are far below 2^22.
  const float quotient = std::clamp(x / fit.scale, -1024.0F, 1024.0F);
  const float rounded = (quotient + 12582912.0F) - 12582912.0F;
  return std::clamp(static_cast<int>(rounded) + fit.zero_point, levels.low, levels.high);
}

}  // namespace narrow::quant
