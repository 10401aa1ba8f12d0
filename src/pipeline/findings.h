// What the recipe and the calibration profile say that a reader must know.
#pragma once

#include <string>
#include <vector>

#include "calib/profile.h"
#include "ir/graph.h"
#include "quant/recipe.h"

namespace narrow::pipeline {

/// Something that a reader must know, by name.
struct Finding {
  std::string kind;  // shared_concat fp16_overflow bias_overflow mask layer
  std::string node;  // ONNX name of the node at fault; may be empty
  std::string text;
};

/// Concats whose inputs differ so much in range that one integer scale leaves the smallest fewer than 16
/// levels: boxes and scores, above all. Those that are joined in FP32 (quant/split_concats.h) are not among
/// them. Kind shared_concat.
std::vector<Finding> mixed_ranges(const ir::Graph& graph, const quant::Recipe& recipe,
                                  const calib::Profile& profile);

/// Values stored as bytes under a range that a mask decides: numbers of -1e4 and beyond (-1e9, -inf) reach so
/// far that nine in ten of the other values that are not zero fall onto the code of zero. Kind mask; the
/// constant or input they come from is named.
std::vector<Finding> masked_ranges(const ir::Graph& graph, const quant::Recipe& recipe,
                                   const calib::Profile& profile);

/// Nodes that fp16 leaves in FP32 since a value of theirs does not fit, with the largest number: kind mask
/// where it comes from a constant of -1e4 and beyond, else fp16_overflow.
std::vector<Finding> half_overflows(const ir::Graph& graph, const quant::Recipe& recipe,
                                    const calib::Profile& profile);

/// Layers whose bias does not fit int32 under the scales of data and weights, which raised their weights'
/// scale: few codes are left to the weights. Channels whose weights are a thousandth of the layer's median do
/// not count: they are dead. Kind bias_overflow.
std::vector<Finding> bias_overflows(const ir::Graph& graph, const quant::Recipe& recipe);

/// All of the above.
std::vector<Finding> find_hazards(const ir::Graph& graph, const quant::Recipe& recipe,
                                  const calib::Profile& profile);

}  // namespace narrow::pipeline
