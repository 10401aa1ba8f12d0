// From a precision and what calibration saw to a recipe.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "base/result.h"
#include "calib/profile.h"
#include "calib/range.h"
#include "ir/graph.h"
#include "quant/recipe.h"

namespace narrow::quant {

/// A layer with a format of its own: why, as will be shown, and what it computes in instead. No format: what
/// the precision's options say, else FP32. fp16 and bf16 are for what half_region() holds; int8-dynamic,
/// int4, int3 and int2 for heavy nodes (plan_layer.h); w4a8 for those that int8 can do, beside int8. A format
/// the node cannot have gives FP32, and the reason says so.
struct WideLayer {
  std::string reason;
  std::optional<NodeFormat> format = {};
};
/// By key_of().
using Wide = std::map<std::string, WideLayer>;

/// What a single layer's int8-dynamic or weight-only format depends on.
struct LayerOptions {
  Target target = Target::portable;
  int64_t group_size = 32;  // of weight-only formats; 0: a scale per result channel
};

struct Int8Options {
  calib::RangeOptions ranges;
  Target target = Target::portable;
  int64_t group_size = 32;  // of weight-only layers in `wide`
  int64_t step_group = 16;  // of weights in 4 bits
  /// What nodes in `wide` compute in that name no format, and heavy nodes that integers cannot do.
  NodeFormat wide_format = NodeFormat::fp32;
  /// 4: weights are stored in 4 bits where at least kFewestInFourBits of them are summed (w4a8).
  int weight_bits = 8;
};

/// Fewer weights of a result than that stay in 8 bits: there are few of them (depthwise convolutions, first
/// layers), and their errors do not average out.
inline constexpr int64_t kFewestInFourBits = 32;
/// Fewer weights along the axis of groups have no steps: those would take as much as the weights.
inline constexpr int64_t kFewestInSteps = 8;

/// int8: integer regions (regions.h), ranges from the profile, per-channel weights; data movement and max
/// pooling take their input's scale. Error invalid_data when the profile lacks a value the regions need.
Result<Recipe> plan_int8(const ir::Graph& graph, const calib::Profile& profile, const Int8Options& options,
                         const Wide& wide = {});

/// bf16 or fp16. For fp16 the range audit: a node stays FP32, and is named, when a value it reads or makes
/// exceeded half of FP16's largest number on calibration data, or a weight of it does not fit. `profile` may
/// be null for bf16.
Recipe plan_half(const ir::Graph& graph, const calib::Profile* profile, NodeFormat format,
                 const Wide& wide = {}, const LayerOptions& layers = {});

/// Why FP16 cannot compute this node, with the largest number: a value it reads or makes, on calibration
/// data, or a constant reaches beyond half of 65504. Empty: nothing does.
std::string half_overflow(const ir::Node& node, const calib::Profile& profile);

/// int8-dynamic: products and ungrouped convolutions with per-channel s8 weights and data that is scaled at
/// run time, a row at a time. `profile` (for bias correction) may be null.
Recipe plan_int8_dynamic(const ir::Graph& graph, const calib::Profile* profile, const Wide& wide = {},
                         const LayerOptions& layers = {});

/// int4, int3, int2: heavy nodes' weights in groups along the contraction, or with one scale per result
/// channel (group_size 0). A contraction shorter than a group is one group; shorter than 32 too, it is kept
/// in int8, one scale per channel. `profile` (for bias correction) may be null.
Recipe plan_weight_only(const ir::Graph& graph, const calib::Profile* profile, const GroupOptions& options,
                        Target target = Target::portable, const Wide& wide = {});

struct PlanOptions {
  calib::RangeOptions ranges;
  Target target = Target::portable;
  /// Of weights in 4 bits and fewer; 0: a scale per result channel; nothing: standard_group_size().
  std::optional<int64_t> group_size = {};
};

/// 16 for w4a8, whose steps take a byte a group; 32 for the others, whose scales take more than two.
int64_t standard_group_size(Precision precision);

/// How int4, int3 or int2 stores its weights.
GroupOptions group_options(Precision precision, const PlanOptions& options);

/// int8, fp16 and w4a8 cannot be planned without a calibration profile.
bool needs_profile(Precision precision);

/// The recipe of a uniform precision; fp32 gives an empty one. Error invalid_argument for mixed, which is a
/// search, for int8-dynamic and w4a8 with TensorRT as the target, and when needs_profile() and there is none.
Result<Recipe> plan(const ir::Graph& graph, const calib::Profile* profile, Precision precision,
                    const PlanOptions& options, const Wide& wide = {});

/// Takes back the mean shift of rounded weights (weights.h), where the calibration knows the means and the
/// node has a place for it. `rounded`: the weights as they will be, in FP32.
void correct_bias(const ir::Node& node, const calib::Profile& profile, const Tensor& rounded, Recipe& recipe);

}  // namespace narrow::quant
