// What calibration saw of each channel of a value.
#pragma once

#include "calib/profile.h"
#include "ir/graph.h"

namespace narrow::quant {

/// Null when the channels that calibration keeps (calib::ValueProfile) are not `channels` along `axis`, or it
/// knows nothing of the value.
inline const calib::ValueProfile* channel_profile(const calib::Profile& profile, const ir::Value* value,
                                                  int64_t axis, int64_t channels) {
  const int64_t rank = value->type.rank(), kept = rank >= 4 ? 1 : rank - 1;
  const auto it = profile.values.find(value->origin.empty() ? value->name : value->origin);
  const bool fits = axis == kept && it != profile.values.end() &&
                    static_cast<int64_t>(it->second.channel_min.size()) == channels;
  return fits ? &it->second : nullptr;
}

}  // namespace narrow::quant
