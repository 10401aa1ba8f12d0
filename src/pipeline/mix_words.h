// What a search for a mix found, in words.
#pragma once

#include <string>
#include <vector>

#include "pipeline/mix_search.h"

namespace narrow::pipeline {

/// "0.295 ms", "367 kB" or both, by what is minimised.
std::string price_text(const search::MixProblem& problem, const search::Mix& mix);

/// Why a layer has the format `choice` and not int8: "int8 would save 0.013 ms and bring 4.0% of the
/// noise of the int8 build"; of a norm or an attention "int8 builds compute it in FP32; bf16 saves 0.003 ms
/// and brings 0.1% of ...". Empty for int8.
std::string reason_of(const search::MixProblem& problem, size_t layer, size_t choice);

/// The notes of the build, or why there is none.
std::vector<std::string> notes_of(const MixFound& found);

}  // namespace narrow::pipeline
