// The method prune: weights of the prepared model become zero before it is planned.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "pipeline/judge.h"
#include "pipeline/preparation.h"

namespace narrow::pipeline {

/// Prunes what `prepared` holds (null: the original) where the list asks for it and calibrates again. It
/// costs answers and is asked for on purpose: nothing is taken back; `notes` say what it does and what it
/// costs. FP32, the reference, stays as it is. Errors: those of the data and of running the model.
Status run_prune(const QuantizeInput& input, quant::Precision precision, const QuantizeOptions& options,
                 const std::shared_ptr<ThreadPool>& pool, std::shared_ptr<const Prepared>& prepared,
                 std::vector<std::string>& notes, const Progress& progress = {});

/// The profile that goes with `prepared`; null where there is none.
const calib::Profile* profile_of(const QuantizeInput& input, const std::shared_ptr<const Prepared>& prepared);

/// Rounded to nearest, on the judge's data: what a build of this precision loses, in noise over signal.
Result<double> noise_of(Judge& judge, const QuantizeInput& input, quant::Precision precision,
                        const quant::PlanOptions& options, std::shared_ptr<const Prepared> prepared);

}  // namespace narrow::pipeline
