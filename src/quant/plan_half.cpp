#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "quant/plan_formats.h"
#include "quant/plan_layer.h"
#include "quant/regions.h"

namespace narrow::quant {
namespace {

/// Half of the largest number: sums inside a kernel are FP32, and unseen data may be somewhat larger than
/// calibration's.
constexpr double kHalfLimit = 65504.0 / 2;

}  // namespace

std::string half_overflow(const ir::Node& node, const calib::Profile& profile) {
  const auto check = [&](const ir::Value* value) -> std::string {
    if (value == nullptr) return "";
    if (value->is_constant()) {
      if (value->type.dtype != DType::f32) return "";
      double largest = 0;
      for (const float x : value->constant().data<float>())
        largest = std::max(largest, std::fabs(static_cast<double>(x)));
      return largest > kHalfLimit
                 ? fmt::format("constant '{}' reaches {:.4g}, FP16 ends at 65504", value->name, largest)
                 : "";
    }
    const auto it = profile.values.find(value->origin.empty() ? value->name : value->origin);
    if (it == profile.values.end()) return "";
    const calib::Histogram& h = it->second.histogram;
    const double largest =
        std::max(std::fabs(static_cast<double>(h.min())), std::fabs(static_cast<double>(h.max())));
    if (h.non_finite() > 0) return fmt::format("'{}' holds Inf", value->name);
    return largest > kHalfLimit ? fmt::format("'{}' reached {:.4g} on calibration data, FP16 ends at 65504",
                                              value->name, largest)
                                : "";
  };
  for (const ir::Value* input : node.inputs())
    if (std::string reason = check(input); !reason.empty()) return reason;
  for (const ir::Value* output : node.outputs())
    if (std::string reason = check(output); !reason.empty()) return reason;
  return "";
}

Recipe plan_half(const ir::Graph& graph, const calib::Profile* profile, NodeFormat format, const Wide& wide,
                 const LayerOptions& layers) {
  Recipe recipe;
  recipe.precision = format == NodeFormat::fp16 ? Precision::fp16 : Precision::bf16;
  std::set<std::string> names;
  for (const auto& [name, layer] : wide) names.insert(name);
  const auto region = half_region(graph, names), able = half_region(graph, {});
  for (const ir::Node* node : graph.nodes()) {
    const std::string& key = key_of(*node);
    if (wide.contains(key))
      recipe.nodes[key] =
          plan_wide_layer(*node, wide.at(key), NodeFormat::fp32, able, profile, layers, recipe);
    if (!region.contains(node)) continue;
    const std::string overflow =
        format == NodeFormat::fp16 && profile != nullptr ? half_overflow(*node, *profile) : "";
    recipe.nodes[key] = overflow.empty() ? NodeChoice{format, ""} : NodeChoice{NodeFormat::fp32, overflow};
    if (overflow.empty() && profile != nullptr) correct_half_bias(*node, *profile, format, recipe);
    if (!overflow.empty())
      recipe.notes.push_back(fmt::format("{} stays fp32: {}", node->location(), overflow));
  }
  return recipe;
}

}  // namespace narrow::quant
