// Runs the FP32 model over the calibration data and keeps what its values did.
#pragma once

#include <memory>

#include "base/progress.h"
#include "base/result.h"
#include "calib/profile.h"
#include "data/dataset.h"
#include "ir/graph.h"
#include "parallel/thread_pool.h"

namespace narrow::calib {

struct CalibrateOptions {
  int64_t samples = 0;  // 0: all
  int64_t batch = 8;
  int64_t memory = 0;  // bytes the run may take beside the model's weights; 0: as much as `batch` needs
};

/// `graph`: portable FP32. Every float value is profiled; memory does not depend on the number of samples.
/// With `memory` batches are halved until the values of one, and the histograms, fit.
/// Errors: those of the data; numerical when a value is NaN (names the node and the sample);
/// invalid_argument when not even one sample fits `memory`.
Result<Profile> calibrate(const ir::Graph& graph, const std::string& model_hash, const data::Dataset& dataset,
                          std::shared_ptr<ThreadPool> pool, const CalibrateOptions& options = {},
                          const Progress& progress = {});

}  // namespace narrow::calib
