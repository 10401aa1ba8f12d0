#include <fmt/format.h>

#include <algorithm>

#include "quant/plan_formats.h"
#include "quant/regions.h"
#include "quant/weights.h"

namespace narrow::quant {
namespace {

/// How one layer's weights are cut into groups.
struct Cut {
  int64_t axis;    // groups lie along it; per channel: that of the channels
  int64_t length;  // weights that could share a scale
  int64_t group_size;
  bool too_short;  // int8 then
};

/// Rows shorter than a group are one group if they are at least this long.
constexpr int64_t kShortestRow = 32;

Cut cut_of(const ir::Node& node, int64_t group_size, Target target) {
  const Tensor& weights = weights_of(node)->constant();
  const int64_t channels = channel_axis(node);
  if (group_size == 0) {
    const int64_t length = weights.elements() / weights.dim(channels);
    return {channels, length, 0, length < kShortestRow};
  }
  const int64_t axis = node.op() == ir::Op::Conv ? 1 : 1 - channels, length = weights.dim(axis);
  const int64_t shortest = target == Target::tensorrt ? group_size : std::min(group_size, kShortestRow);
  return {axis, length, std::min(group_size, length), length < shortest};
}

NodeFormat format_of_bits(int bits) {
  return bits == 4 ? NodeFormat::int4 : bits == 3 ? NodeFormat::int3 : NodeFormat::int2;
}

Precision precision_of_bits(int bits) {
  return bits == 4 ? Precision::int4 : bits == 3 ? Precision::int3 : Precision::int2;
}

}  // namespace

Recipe plan_weight_only(const ir::Graph& graph, const calib::Profile* profile, const GroupOptions& options,
                        Target target, const Wide& wide) {
  Recipe recipe;
  recipe.precision = precision_of_bits(options.bits);
  recipe.target = target;
  int64_t in_groups = 0;
  for (const ir::Node* node : graph.nodes()) {
    const std::string& key = key_of(*node);
    if (wide.contains(key)) continue;
    if (is_large_table(*node) && target == Target::portable)
      recipe.tables[key] = weight_scales(node->input(0)->constant(), 1);
    if (!is_heavy(*node)) continue;
    const Tensor& weights = weights_of(*node)->constant();
    const Cut cut = cut_of(*node, options.group_size, target);
    if (target == Target::tensorrt && (cut.too_short || cut.group_size == 0 || node->op() == ir::Op::Conv)) {
      recipe.nodes[key] = {NodeFormat::fp32, "TensorRT takes int4 for whole groups of matrices only"};
      continue;
    }
    recipe.nodes[key] = {format_of_bits(options.bits),
                         cut.too_short
                             ? fmt::format("int8 weights: {} of them are summed, a group has {}", cut.length,
                                           options.group_size == 0 ? kShortestRow : options.group_size)
                             : ""};
    GroupOptions own = options;
    own.group_size = cut.group_size;
    GroupedWeights stored = cut.too_short ? quantize_per_channel(weights, channel_axis(*node))
                                          : quantize_groups(weights, cut.axis, own);
    in_groups += cut.too_short ? 0 : 1;
    if (profile != nullptr) correct_bias(*node, *profile, dequantize_groups(stored), recipe);
    recipe.groups[key] = std::move(stored);
  }
  widen_layers(graph, profile, wide, recipe);
  recipe.notes.push_back(fmt::format(
      "weight-only: {} of {} layers with {} bits, {}; {:.4g} bits a weight with scales and zero points; the "
      "engine widens weights when it plans, so the file is smaller but not faster than fp32",
      in_groups, recipe.groups.size(), options.bits,
      options.group_size == 0 ? "a scale per channel" : fmt::format("groups of {}", options.group_size),
      stored_weights(recipe).bits_per_weight()));
  return recipe;
}

}  // namespace narrow::quant
