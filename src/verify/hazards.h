// What a quantized graph and the comparison of its layers say of mistakes that have a name.
#pragma once

#include <string>
#include <vector>

#include "ir/graph.h"
#include "verify/layers.h"

namespace narrow::verify {

/// `build`: a graph with QuantizeLinear and DequantizeLinear, of any tool. `layers`: compare_layers() of it.
/// Texts that begin with their kind:
///   bias_overflow   an int32 bias and the products added to it can pass 2^31;
///   mask            a stored value reaches -1e4 and beyond and is zero for the most part;
///   shared_concat   a Concat under one scale holds a part whose root mean square is below two steps, and the
///                   whole's is above 16: boxes and scores.
std::vector<std::string> hazards(const ir::Graph& build, const std::vector<LayerReport>& layers);

}  // namespace narrow::verify
