// Scales of groups whose numbers are not equally important.
#pragma once

#include <span>

#include "quant/groups.h"

namespace narrow::quant {

/// sum importance (w - w')^2 of the nearest codes.
double weighted_error(std::span<const float> group, std::span<const float> importance,
                      const GroupOptions& options, const ScaleFit& fit);

/// The scale and zero point of least weighted_error() among: fit_group()'s; ranges shrunk by 1.05, 1.02, ...
/// 0.51 with the zero point that belongs to them and its neighbours; then, up to three times while that is
/// better,
///   scale = sum importance w (q - zero) / sum importance (q - zero)^2.
/// Of three codes the best there is (three_codes.h).
/// `importance`: as many numbers as `group`, not negative. Not empty; `half_scales`: of scales FP16 can hold.
ScaleFit fit_weighted(std::span<const float> group, std::span<const float> importance,
                      const GroupOptions& options, bool half_scales);

}  // namespace narrow::quant
