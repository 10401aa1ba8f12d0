// The constants of one residual stream, turned.
#pragma once

#include <string>

#include "quant/constant_edits.h"
#include "quant/stream_flow.h"

namespace narrow::quant {

/// Why the constants behind the stream's normalisations cannot take gamma and beta up; empty when they can.
std::string obstacle_to_norms(const ir::Graph& graph, const Stream& stream);

/// Takes gamma and beta of every normalisation out. Comes before turn_stream: biases that take beta up may
/// themselves be turned.
void take_norms_out(const ir::Graph& graph, const Stream& stream, const Rotation& rotation,
                    ConstantEdits& edits);
void turn_stream(const Stream& stream, const Rotation& rotation, ConstantEdits& edits);

}  // namespace narrow::quant
