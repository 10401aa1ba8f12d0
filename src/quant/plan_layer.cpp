#include "quant/plan_layer.h"

#include <fmt/format.h>

#include <algorithm>

#include "quant/regions.h"
#include "quant/weights.h"

namespace narrow::quant {
namespace {

/// Why a node cannot be int8-dynamic, or null.
const char* no_dynamic(const ir::Node& node) {
  if (!is_heavy(node)) return "no convolution or product with constant weights";
  if (node.op() == ir::Op::Conv && node.int_attr("group", 1) != 1)
    return "grouped: finding the scale costs more than the products";
  const ir::Value* bias = node.op() == ir::Op::Conv ? node.input(2) : nullptr;
  return bias != nullptr && !bias->is_constant() ? "its bias is computed" : nullptr;
}

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
  const int64_t axis = group_axis(node), length = weights.dim(axis);
  const int64_t shortest = target == Target::tensorrt ? group_size : std::min(group_size, kShortestRow);
  return {axis, length, std::min(group_size, length), length < shortest};
}

/// The format that was asked for, or FP32 with what spoke against it.
NodeChoice or_why_not(const NodeChoice& planned, NodeFormat wanted, const std::string& reason) {
  if (planned.format == wanted) return {planned.format, reason};
  return {planned.format, fmt::format("{}; not in {}: {}", reason, to_string(wanted), planned.reason)};
}

}  // namespace

NodeChoice plan_dynamic_layer(const ir::Node& node, const calib::Profile* profile, Recipe& recipe) {
  if (const char* reason = no_dynamic(node)) return {NodeFormat::fp32, reason};
  const Tensor& weights = weights_of(node)->constant();
  Quantization quant = weight_scales(weights, channel_axis(node));
  if (profile != nullptr)
    correct_bias(node, *profile, dequantize_weights(quantize_weights(weights, quant), quant), recipe);
  recipe.weights[key_of(node)] = std::move(quant);
  return {NodeFormat::int8_dynamic, ""};
}

NodeChoice plan_grouped_layer(const ir::Node& node, const calib::Profile* profile,
                              const GroupOptions& options, Target target, Recipe& recipe) {
  if (!is_heavy(node)) return {NodeFormat::fp32, "no convolution or product with constant weights"};
  const Tensor& weights = weights_of(node)->constant();
  const Cut cut = cut_of(node, options.group_size, target);
  if (target == Target::tensorrt &&
      (options.bits == 8 || cut.too_short || cut.group_size == 0 || node.op() == ir::Op::Conv))
    return {NodeFormat::fp32, "TensorRT takes int4 for whole groups of matrices only"};
  GroupOptions own = options;
  own.group_size = cut.group_size;
  GroupedWeights stored = cut.too_short ? quantize_per_channel(weights, channel_axis(node))
                                        : quantize_groups(weights, cut.axis, own);
  if (profile != nullptr) correct_bias(node, *profile, dequantize_groups(stored), recipe);
  recipe.groups[key_of(node)] = std::move(stored);
  return {group_format(options).format,
          cut.too_short ? fmt::format("int8 weights: {} of them are summed, a group has {}", cut.length,
                                      options.group_size == 0 ? kShortestRow : options.group_size)
                        : ""};
}

NodeChoice plan_wide_layer(const ir::Node& node, const WideLayer& layer, NodeFormat standard,
                           const std::unordered_set<const ir::Node*>& half, const calib::Profile* profile,
                           const LayerOptions& options, Recipe& recipe) {
  const NodeFormat wanted = layer.format.value_or(standard);
  if (wanted == NodeFormat::int8_dynamic) {
    if (options.target == Target::tensorrt)
      return or_why_not({NodeFormat::fp32, "TensorRT takes constant scales only"}, wanted, layer.reason);
    return or_why_not(plan_dynamic_layer(node, profile, recipe), wanted, layer.reason);
  }
  if (const GroupFormat* few = group_format(wanted)) {
    const GroupOptions groups = group_options(
        few->precision, {.ranges = {}, .target = options.target, .group_size = options.group_size});
    return or_why_not(plan_grouped_layer(node, profile, groups, options.target, recipe), wanted,
                      layer.reason);
  }
  if (wanted == NodeFormat::w4a8)
    return or_why_not({NodeFormat::fp32, "only what is in bytes beside it can be"}, wanted, layer.reason);
  const NodeFormat format = half.contains(&node) ? wanted : NodeFormat::fp32;
  if (profile != nullptr) correct_half_bias(node, *profile, format, recipe);
  return {format, layer.reason};
}

void plan_wide_layers(const ir::Graph& graph, const calib::Profile* profile, const Wide& wide,
                      const LayerOptions& options, Recipe& recipe) {
  const auto half = half_region(graph, {});
  for (const ir::Node* node : graph.nodes())
    if (const auto layer = wide.find(key_of(*node)); layer != wide.end())
      recipe.nodes[layer->first] =
          plan_wide_layer(*node, layer->second, NodeFormat::fp32, half, profile, options, recipe);
}

void correct_half_bias(const ir::Node& node, const calib::Profile& profile, NodeFormat format,
                       Recipe& recipe) {
  if (!is_heavy(node) || (format != NodeFormat::bf16 && format != NodeFormat::fp16)) return;
  const DType stored = format == NodeFormat::fp16 ? DType::f16 : DType::bf16;
  correct_bias(node, profile, cast(cast(weights_of(node)->constant(), stored), DType::f32), recipe);
}

}  // namespace narrow::quant
