// The calibration step: profile the FP32 original, and with `auto` choose a method, with
// `output-error` a range for every value int8 stores.
#pragma once

#include <memory>

#include "calib/calibrate.h"
#include "calib/profile.h"
#include "calib/range.h"
#include "data/dataset.h"
#include "pipeline/model.h"

namespace narrow::pipeline {

/// `output-error`: writes a range for every value that int8 stores into the profile (quant/choose_ranges.h,
/// whose errors are the errors). `memory` 0: the standard bound.
Status choose_ranges(const ir::Graph& graph, const data::Dataset& dataset, std::shared_ptr<ThreadPool> pool,
                     const calib::RangeOptions& ranges, int64_t memory, calib::Profile& profile,
                     const Progress& progress = {});

/// Errors: those of calibrate(), choose_ranges() and choose_methods().
Result<calib::Profile> calibrate_model(const Model& model, const data::Dataset& dataset,
                                       std::shared_ptr<ThreadPool> pool,
                                       const calib::CalibrateOptions& options,
                                       const calib::RangeOptions& ranges, const Progress& progress = {});

}  // namespace narrow::pipeline
