// The integer program of a mix (search/mix.h) from what was built and measured.
#pragma once

#include "base/result.h"
#include "pipeline/cast_costs.h"
#include "pipeline/decision.h"
#include "pipeline/layer_noise.h"
#include "pipeline/mix_input.h"

namespace narrow::pipeline {

/// A choice for every layer and format that the format's uniform build gave the layer: its time there, its
/// bytes, its noise. Norms and attentions have no bytes. Where a half format's noise was not measured, that
/// of its build is spread as int8's is. What is minimised:
///   latency, throughput  milliseconds
///   size                 bytes, and among near equals milliseconds
///   cost                 ms / ms0 + bytes / bytes0, with ms0 and bytes0 of the mix whose ms * bytes is least
/// Errors: those of the solver.
Result<search::MixProblem> make_mix_problem(const MixInput& input, std::vector<search::MixLayer> layers,
                                            const LayerNoise& noise, const CastRates& casts,
                                            Objective objective);

}  // namespace narrow::pipeline
