// Concats of values of different magnitude (boxes and scores), which one scale would drown.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "calib/profile.h"
#include "calib/range.h"
#include "ir/graph.h"

namespace narrow::quant {

struct SplitConcats {
  std::set<std::string> nodes;     // key_of() the Concats that are computed in FP32 instead
  std::vector<std::string> notes;  // what each would have lost
};

/// A Concat in an integer region is taken out of it, and with it what only moves behind it, where
///   the error of one scale is more than kLostShare of the power of an input, and that input's own scale
///   would err four times less or better; no layer needs the mixture as one stored value again: those behind
///   read a part of it, or nobody does; the bytes it moves more (three an element) are at most half of all
///   that the regions store.
/// Its inputs are then dequantized where they are made. `wide`: nodes that are in no region anyway.
SplitConcats split_concats(const ir::Graph& graph, const calib::Profile& profile,
                           const calib::RangeOptions& ranges, const std::set<std::string>& wide);

/// 25 dB: what int8 loses in a layer elsewhere is some ten dB less.
constexpr double kLostShare = 3e-3;

}  // namespace narrow::quant
