// After how many samples the ranges stopped moving.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/json.h"
#include "calib/range.h"

namespace narrow::calib {

/// Ranges of every value after the first `samples` of the set.
struct Snapshot {
  int64_t samples = 0;
  std::map<std::string, Range> ranges;  // by ONNX value name
};

struct ConvergenceStep {
  int64_t samples = 0;
  /// How far an end of a range still is from where all samples put it, in units of that range's width: of the
  /// value that moves most, and of the one that 95 % of the values stay below.
  double widest = 0, most_values = 0;
  std::string value;  // the one that moves most
};

struct Convergence {
  std::vector<ConvergenceStep> steps;  // the last has all samples
  /// The fewest samples after which 95 % of the ranges stay within kConverged; all samples when only they do.
  int64_t enough = 0;
  /// From half of the samples to all of them ranges moved further: twice as many would move them again.
  bool still_grows = false;
};
/// 10 % of a range are 0.8 dB of its rounding error, a seventh of a bit.
constexpr double kConverged = 0.1;

/// Sample counts at which ranges are looked at: n, 3n/4, n/2, n/4, ... down to 1 at most; ascending.
std::vector<int64_t> snapshot_counts(int64_t n);

Convergence converge(const std::vector<Snapshot>& snapshots);
Json to_json(const Convergence& convergence);

}  // namespace narrow::calib
