// A calibration method for each value: the one whose range disturbs what the model answers least.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>

#include "base/progress.h"
#include "base/result.h"
#include "calib/profile.h"
#include "data/dataset.h"
#include "ir/graph.h"
#include "parallel/thread_pool.h"

namespace narrow::calib {

struct ChooseOptions {
  RangeOptions ranges;   // percentile and levels of the methods that are tried
  int64_t samples = 16;  // spread evenly over the data
  int64_t batch = 8;
};

/// For each of `values` (ONNX names of the profile): the model runs with that value alone rounded to the
/// integers of each method's range, everything else FP32, and the squared error of the outputs, each in units
/// of its own power, decides. Methods whose ranges differ by less than 0.1 % are one. Runs the model
/// 1 + values * (up to 5) times over the samples. Deterministic.
/// Errors: those of the data.
Result<std::map<std::string, Method>> choose_methods(const ir::Graph& graph, const Profile& profile,
                                                     const std::set<std::string>& values,
                                                     const data::Dataset& dataset,
                                                     std::shared_ptr<ThreadPool> pool,
                                                     const ChooseOptions& options = {},
                                                     const Progress& progress = {});

}  // namespace narrow::calib
