// The stages of `narrow build`, in their order, and what they need of each other.
#pragma once

#include <string>

#include "pipeline/build_state.h"
#include "pipeline/quantization.h"

namespace narrow::pipeline {

/// Model, data, gates: whatever is wrong with them is said before anything is computed.
Status open_inputs(BuildState& s);
Status calibrate_inputs(BuildState& s);

/// Every precision that was asked for, but mixed. FP32 is always made: it is the reference. Its files are
/// shipped only when asked for.
Status make_builds(BuildState& s);
/// The files of one build and its entry in the result.
Status add_variant(BuildState& s, Quantized quantized);
QuantizeOptions quantize_options(const BuildState& s);
void remove_files(BuildState& s, const std::string& name);

/// Scores of the builds from `first` on, against FP32 on the evaluation data; nothing without such data.
Status score_from(BuildState& s, size_t first);
/// Of the build that was scored as number `k`, on the first `samples` it answered.
verify::Figures figures_of(const BuildState& s, size_t k, int64_t samples);
/// Layer by layer against FP32, with what is suspicious.
Status compare_layers(BuildState& s);
Status compare_layers_of(BuildState& s, size_t index);

/// There is something to search a mix with and to hold it against.
bool seeks_mix(const BuildState& s);
Status add_mix(BuildState& s);

/// What builds are timed on: one sample, as often as a batch has.
Status repeat_inputs(BuildState& s);
Status time_builds(BuildState& s);
/// Where the time of the chosen build goes, in a few runs of what was timed, and the machine's ceilings.
Status profile_chosen(BuildState& s);

/// The gates' verdicts and the decision.
Status choose_build(BuildState& s);

}  // namespace narrow::pipeline
