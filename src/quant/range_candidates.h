// The ranges that are tried for a value: those of the calibration methods, and narrower ones.
#pragma once

#include <string>
#include <vector>

#include "calib/profile.h"
#include "calib/range.h"

namespace narrow::quant {

struct RangeCandidate {
  calib::Method method;
  calib::Range range;
};

/// The first is that of `mse`; ranges that differ by less than 0.5 % of their width count once. All hold 0
/// and lie inside [min, max] of the value.
std::vector<RangeCandidate> range_candidates(const calib::Profile& profile, const std::string& value,
                                             calib::RangeOptions options);

}  // namespace narrow::quant
