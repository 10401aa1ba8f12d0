#include <fmt/format.h>

#include "quant/plan_formats.h"
#include "quant/regions.h"
#include "quant/weights.h"

namespace narrow::quant {
namespace {

/// The axis whose elements are summed over: groups lie along it.
int64_t contraction_axis(const ir::Node& node) {
  return node.op() == ir::Op::Conv ? 1 : 1 - channel_axis(node);
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
    const int64_t axis = contraction_axis(*node), length = weights.dim(axis);
    const bool short_rows = length < options.group_size;
    if (target == Target::tensorrt && (short_rows || node->op() == ir::Op::Conv)) {
      recipe.nodes[key] = {NodeFormat::fp32, "TensorRT takes int4 for whole groups of matrices only"};
      continue;
    }
    recipe.nodes[key] = {format_of_bits(options.bits),
                         short_rows ? fmt::format("int8 weights: {} of them are summed, a group has {}",
                                                  length, options.group_size)
                                    : ""};
    GroupedWeights stored = short_rows ? quantize_per_channel(weights, channel_axis(*node))
                                       : quantize_groups(weights, axis, options);
    in_groups += short_rows ? 0 : 1;
    if (profile != nullptr) correct_bias(*node, *profile, dequantize_groups(stored), recipe);
    recipe.groups[key] = std::move(stored);
  }
  widen_layers(graph, profile, wide, recipe);
  recipe.notes.push_back(
      fmt::format("weight-only: {} of {} layers in groups of {} with {} bits; the engine widens weights when "
                  "it plans, so "
                  "the file is smaller but not faster than fp32",
                  in_groups, recipe.groups.size(), options.group_size, options.bits));
  return recipe;
}

}  // namespace narrow::quant
