// The calibration step: profile the FP32 original, and with `auto` choose a method for every value int8
// stores.
#pragma once

#include <memory>

#include "calib/calibrate.h"
#include "calib/profile.h"
#include "calib/range.h"
#include "data/dataset.h"
#include "pipeline/model.h"

namespace narrow::pipeline {

/// Errors: those of calibrate() and choose_methods().
Result<calib::Profile> calibrate_model(const Model& model, const data::Dataset& dataset,
                                       std::shared_ptr<ThreadPool> pool,
                                       const calib::CalibrateOptions& options,
                                       const calib::RangeOptions& ranges, const Progress& progress = {});

}  // namespace narrow::pipeline
