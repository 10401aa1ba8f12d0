// A range for each value that int8 stores: the one whose rounding errs least in what the layers behind it
// answer (docs/calibration/output-error.md).
#pragma once

#include <map>
#include <memory>
#include <string>

#include "base/progress.h"
#include "base/result.h"
#include "calib/profile.h"
#include "calib/range.h"
#include "data/dataset.h"
#include "ir/graph.h"
#include "parallel/thread_pool.h"

namespace narrow::quant {

struct ChooseRangesOptions {
  calib::RangeOptions ranges;  // percentile and levels of the methods that are tried
  int64_t samples = 16;        // spread evenly over the data
  int64_t batch = 8;
  int64_t memory =
      int64_t{3} << 29;  // bytes of values kept at a time: fewer samples where more would not fit
};

/// What was chosen for a value, and out of which method's range it came.
struct ChosenRange {
  calib::Method method = calib::Method::mse;
  calib::Range range;
};

/// By name in the profile. The graph is cut at the values that int8 stores with scales of their own. Each
/// part between them runs with one of the values it reads rounded, and cut, by every candidate, and
/// everything else FP32: what of such an error comes out of the part, times how large the error is over all
/// calibration data, summed over the parts that read the value, clipping counted twice. The candidate with
/// the least is taken. Deterministic, for any number of threads. Cost: the model runs twice per candidate
/// over the samples. Errors: those of the data; unsupported where states are carried from run to run.
Result<std::map<std::string, ChosenRange>> choose_ranges(
    const ir::Graph& graph, const calib::Profile& profile, const data::Dataset& dataset,
    std::shared_ptr<ThreadPool> pool, const ChooseRangesOptions& options = {}, const Progress& progress = {});

}  // namespace narrow::quant
