// From a precision and what calibration saw to a recipe.
#pragma once

#include <map>
#include <string>

#include "base/result.h"
#include "calib/profile.h"
#include "calib/range.h"
#include "ir/graph.h"
#include "quant/recipe.h"

namespace narrow::quant {

/// Nodes that must stay wide, by key_of(), with the reason that will be shown.
using Wide = std::map<std::string, std::string>;

struct Int8Options {
  calib::RangeOptions ranges;
  /// What nodes in `wide` compute in instead.
  NodeFormat wide_format = NodeFormat::fp32;
};

/// int8: integer regions (regions.h), ranges from the profile, per-channel weights; data movement and max
/// pooling take their input's scale. Error invalid_data when the profile lacks a value the regions need.
Result<Recipe> plan_int8(const ir::Graph& graph, const calib::Profile& profile, const Int8Options& options,
                         const Wide& wide = {});

/// bf16 or fp16. For fp16 the range audit: a node stays FP32, and is named, when a value it reads or makes
/// exceeded half of FP16's largest number on calibration data, or a weight of it does not fit. `profile` may
/// be null for bf16.
Recipe plan_half(const ir::Graph& graph, const calib::Profile* profile, NodeFormat format,
                 const Wide& wide = {});

}  // namespace narrow::quant
