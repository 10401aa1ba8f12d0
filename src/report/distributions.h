// Which values' distributions a report shows, and each in as few bars as an eye can use.
#pragma once

#include <set>
#include <string>

#include "base/json.h"
#include "calib/profile.h"

namespace narrow::reports {

/// Values of the layers with the lowest SQNR alone, `most` per build that stores integers (has scales), as
/// far as the manifest names them. Anything in the manifest that has another form than expected is passed
/// over.
std::set<std::string> worst_values(const Json& manifest, size_t most);

/// {low, width, counts, min, max, count, zeros, non_finite}: at most `bars` bars of equal width from the bin
/// of the minimum to the bin of the maximum. Empty object when nothing was counted.
Json bars_of(const calib::Histogram& histogram, int64_t bars);

}  // namespace narrow::reports
