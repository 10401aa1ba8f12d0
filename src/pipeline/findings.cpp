#include "pipeline/findings.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "quant/plan_formats.h"
#include "quant/regions.h"
#include "quant/wide.h"

namespace narrow::pipeline {

std::vector<Finding> mixed_ranges(const ir::Graph& graph, const quant::Recipe& recipe,
                                  const calib::Profile& profile) {
  constexpr double kLevels = 256, kFewest = 16;
  std::vector<Finding> list;
  if (recipe.activations.empty()) return list;
  for (const ir::Node* node : graph.nodes_of(ir::Op::Concat)) {
    if (!recipe.activations.contains(node->output()->name)) continue;  // its inputs keep what they are
    double smallest = std::numeric_limits<double>::infinity(), low = 0, high = 0;
    std::string who;
    for (const ir::Value* input : node->inputs()) {
      const auto it = profile.values.find(input->origin.empty() ? input->name : input->origin);
      if (it == profile.values.end() || it->second.histogram.count() == 0) continue;
      const calib::Histogram& h = it->second.histogram;
      const double extent = static_cast<double>(std::max(h.max(), 0.0F)) - std::min(h.min(), 0.0F);
      if (extent > 0 && extent < smallest) smallest = extent, who = input->name;
      low = std::min<double>(low, h.min());
      high = std::max<double>(high, h.max());
    }
    if (who.empty() || smallest * kLevels >= kFewest * (high - low)) continue;
    list.push_back(
        {"shared_concat", quant::name_of(*node),
         fmt::format("{} mixes ranges: '{}' spans {:.3g} of {:.3g}, {:.0f} of 256 levels under one scale",
                     node->location(), who, smallest, high - low, smallest / (high - low) * kLevels)});
  }
  return list;
}

namespace {

/// Masks are numbers that softmax turns into nothing: nothing a network computes is meant to reach them.
constexpr float kMask = -1e4F;

const calib::ValueProfile* profile_of(const calib::Profile& profile, const ir::Value* value) {
  const auto it = profile.values.find(value->origin.empty() ? value->name : value->origin);
  return it == profile.values.end() ? nullptr : &it->second;
}

bool holds_mask(const ir::Value* value, const calib::Profile& profile) {
  if (!value->is_constant()) {
    const calib::ValueProfile* seen = profile_of(profile, value);
    return seen != nullptr && (seen->histogram.min() <= kMask || seen->histogram.non_finite() > 0);
  }
  if (value->type.dtype != DType::f32) return false;
  const auto numbers = value->constant().data<float>();
  return std::any_of(numbers.begin(), numbers.end(), [](float x) { return x <= kMask; });
}

/// Where the huge numbers of a value come from: a constant or an input, some steps back. Empty: computed.
std::string mask_source(const ir::Value* value, const calib::Profile& profile, int steps = 8) {
  const ir::Node* producer = value->producer();
  if (value->is_constant()) return holds_mask(value, profile) ? "constant '" + value->name + "'" : "";
  if (producer == nullptr) return holds_mask(value, profile) ? "input '" + value->name + "'" : "";
  if (steps == 0 || !holds_mask(value, profile)) return "";
  for (const ir::Value* input : producer->inputs())
    if (input != nullptr)
      if (std::string source = mask_source(input, profile, steps - 1); !source.empty()) return source;
  return "";
}

/// Of the values that are neither zero nor part of the mask, the share whose code is that of zero. A step
/// finer than the histogram is the work of another range: 0.
double crushed_share(const calib::Histogram& h, double step) {
  if (step < h.bin_width()) return 0;
  int64_t others = -h.zeros(), crushed = -h.zeros();
  for (int64_t bin = 0; bin < static_cast<int64_t>(h.bins().size()); ++bin) {
    const int64_t count = h.bins()[static_cast<size_t>(bin)];
    if (h.center(bin) <= kMask - h.bin_width()) continue;
    others += count;
    if (std::fabs(h.center(bin)) <= step / 2) crushed += count;
  }
  return others > 0 ? static_cast<double>(crushed) / static_cast<double>(others) : 0;
}

}  // namespace

std::vector<Finding> masked_ranges(const ir::Graph& graph, const quant::Recipe& recipe,
                                   const calib::Profile& profile) {
  constexpr double kMost = 0.9;
  std::vector<Finding> list;
  for (const auto& [name, quant] : recipe.activations) {
    const ir::Value* value = graph.find_value(name);
    const calib::ValueProfile* seen = value == nullptr ? nullptr : profile_of(profile, value);
    if (seen == nullptr || value->producer() == nullptr || !holds_mask(value, profile)) continue;
    const std::string source = mask_source(value, profile);
    const double crushed = crushed_share(seen->histogram, quant.scale[0]);
    if (source.empty() || crushed < kMost) continue;
    const ir::Node& node = *value->producer();
    list.push_back(
        {"mask", quant::name_of(node),
         fmt::format("{}: a mask decides the range of '{}': {} reaches {:.4g}, one step of int8 is "
                     "{:.3g}, and {:.0f}% of the other values become zero; clip the mask near the "
                     "values it is added to",
                     node.location(), name, source, seen->histogram.min(), quant.scale[0], 100 * crushed)});
  }
  return list;
}

std::vector<Finding> half_overflows(const ir::Graph& graph, const quant::Recipe& recipe,
                                    const calib::Profile& profile) {
  std::vector<Finding> list;
  if (recipe.precision != quant::Precision::fp16) return list;
  for (const ir::Node* node : graph.nodes()) {
    const auto choice =
        node->outputs().empty() ? recipe.nodes.end() : recipe.nodes.find(quant::key_of(*node));
    if (choice == recipe.nodes.end() || choice->second.format != quant::NodeFormat::fp32) continue;
    const std::string overflow = quant::half_overflow(*node, profile);
    if (overflow.empty()) continue;
    std::string source;
    for (const ir::Value* input : node->inputs())
      if (input != nullptr && source.empty()) source = mask_source(input, profile);
    const bool mask = !source.empty();
    list.push_back({mask ? "mask" : "fp16_overflow", quant::name_of(*node),
                    fmt::format("{} does not fit fp16 and stays fp32: {}{}", node->location(), overflow,
                                mask ? "; it is a mask: -1e4 does the same and fits" : "")});
  }
  return list;
}

namespace {

/// The largest weight of every result channel.
std::vector<float> channel_magnitudes(const ir::Node& node) {
  const Tensor& weights = quant::weights_of(node)->constant();
  const int64_t axis = quant::channel_axis(node);
  int64_t inner = 1;
  for (int64_t a = axis + 1; a < weights.rank(); ++a) inner *= weights.dim(a);
  std::vector<float> largest(static_cast<size_t>(weights.dim(axis)), 0);
  const auto values = weights.data<float>();
  for (size_t i = 0; i < values.size(); ++i) {
    float& channel = largest[static_cast<size_t>(static_cast<int64_t>(i) / inner % weights.dim(axis))];
    channel = std::max(channel, std::fabs(values[i]));
  }
  return largest;
}

}  // namespace

std::vector<Finding> bias_overflows(const ir::Graph& graph, const quant::Recipe& recipe) {
  constexpr double kEdge = (1 << 30) * 0.99;  // where fit_bias() leaves a bias that was beyond
  // Training leaves channels whose weights are all but zero: nothing is lost when theirs are rounded to it.
  constexpr double kDead = 1e-3;
  std::vector<Finding> list;
  for (const ir::Node* node : graph.nodes()) {
    if (node->outputs().empty() || !recipe.weights.contains(quant::key_of(*node)) ||
        node->op() == ir::Op::MatMul)
      continue;
    const ir::Value* bias = node->input(2);
    const auto input = recipe.activations.find(node->input(0)->name);
    const Quantization& weights = recipe.weights.at(quant::key_of(*node));
    if (bias == nullptr || !bias->is_constant() || input == recipe.activations.end() ||
        bias->constant().elements() != static_cast<int64_t>(weights.scale.size()))
      continue;
    const auto values = bias->constant().data<float>();
    const std::vector<float> magnitudes = channel_magnitudes(*node);
    std::vector<float> sorted = magnitudes;
    std::nth_element(sorted.begin(), sorted.begin() + static_cast<int64_t>(sorted.size() / 2), sorted.end());
    const double dead = kDead * sorted[sorted.size() / 2];
    int64_t channels = 0;
    double largest = 0;
    for (size_t c = 0; c < values.size(); ++c) {
      const double code = std::fabs(static_cast<double>(values[c])) /
                          (static_cast<double>(input->second.scale[0]) * weights.scale[c]);
      if (code < kEdge || magnitudes[c] < dead) continue;
      ++channels;
      largest = std::max(largest, std::fabs(static_cast<double>(values[c])));
    }
    if (channels == 0) continue;
    list.push_back(
        {"bias_overflow", quant::name_of(*node),
         fmt::format("{}: the bias of {} of {} channels, up to {:.4g}, is beyond int32 in steps of "
                     "data times weights; their weights' scale was raised, which leaves them few "
                     "codes",
                     node->location(), channels, values.size(), largest)});
  }
  return list;
}

std::vector<Finding> find_hazards(const ir::Graph& graph, const quant::Recipe& recipe,
                                  const calib::Profile& profile) {
  std::vector<Finding> all = mixed_ranges(graph, recipe, profile);
  for (std::vector<Finding> more : {masked_ranges(graph, recipe, profile),
                                    half_overflows(graph, recipe, profile), bias_overflows(graph, recipe)})
    all.insert(all.end(), more.begin(), more.end());
  return all;
}

}  // namespace narrow::pipeline
