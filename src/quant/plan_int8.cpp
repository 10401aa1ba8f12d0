#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "quant/apply_steps.h"
#include "quant/code_steps.h"
#include "quant/followers.h"
#include "quant/plan_formats.h"
#include "quant/plan_layer.h"
#include "quant/regions.h"
#include "quant/split_concats.h"
#include "quant/tie_free.h"
#include "quant/weights.h"

namespace narrow::quant {
namespace {

bool asks_for_four_bits(const Wide& wide, const std::string& key, Target target) {
  const auto layer = wide.find(key);
  return layer != wide.end() && layer->second.format == NodeFormat::w4a8 && target == Target::portable;
}

/// Layers that are to be in another format than bytes.
std::set<std::string> outside_bytes(const Wide& wide, Target target) {
  std::set<std::string> names;
  for (const auto& [name, layer] : wide)
    if (!asks_for_four_bits(wide, name, target)) names.insert(name);
  return names;
}

/// The scale and zero point of a stored value.
Result<Quantization> range_of(const ir::Value* value, const calib::Profile& profile,
                              const Int8Options& options) {
  const auto it = profile.values.find(value->origin.empty() ? value->name : value->origin);
  if (it == profile.values.end())
    return Error{.code = Code::invalid_data,
                 .subject = "calibration",
                 .expected = "ranges of value '" + value->name + "'",
                 .got = "none",
                 .hint = "calibrate this model again with this version of narrow"};
  const calib::Range range = calib::range_of(profile, it->first, options.ranges);
  const AffineParameters affine = options.target == Target::tensorrt
                                      ? symmetric_from_magnitude(std::max(-range.low, range.high), kRangeS8)
                                      : affine_from_range(range.low, range.high, kRangeU8);
  return Quantization{.scale = {affine.scale}, .zero_point = {affine.zero_point}, .axis = -1};
}

bool keeps_scale(const ir::Node& node) {
  return is_movement(node) || node.op() == ir::Op::MaxPool || node.op() == ir::Op::GlobalMaxPool;
}

/// The bits that `weights` are stored in: as few as asked for, where so many are summed.
int bits_of_weights(const Tensor& weights, int64_t axis, int wanted) {
  return weights.elements() / weights.dim(axis) < kFewestInFourBits ? 8 : wanted;
}

/// How many weights of 4 bits share a step; 0: all of a channel, where few lie along the axis of groups.
int64_t group_of_steps(const ir::Node& node, int64_t group_size) {
  const int64_t length = weights_of(node)->constant().dim(group_axis(node));
  return length < kFewestInSteps ? 0 : std::min(group_size, length);
}

/// `bits`: those asked for. `overflows` gathers the layers with channels whose bias did not fit int32, with
/// their number.
Status plan_weights(const ir::Node& node, int bits, const calib::Profile& profile, const Int8Options& options,
                    const TieFreeScales& tie_free, Recipe& recipe, std::vector<std::string>& overflows) {
  const ir::Value* weights = weights_of(node);
  const int64_t axis = channel_axis(node);
  const bool counted = bits == 4;
  bits = bits_of_weights(weights->constant(), axis, bits);
  const int64_t group = bits == 4 ? group_of_steps(node, options.step_group) : 0;
  Quantization quant =
      group > 0 ? channel_scales(weights->constant(), axis) : weight_scales(weights->constant(), axis, bits);
  tie_free.move_weights(node, quant);
  const ir::Value* bias = node.op() == ir::Op::MatMul ? nullptr : node.input(2);
  const auto input = recipe.activations.find(node.input(0)->name);
  if (input == recipe.activations.end())
    return Error{
        .code = Code::internal, .subject = node.location(), .expected = "a stored input", .got = "none"};
  if (bias != nullptr && bias->is_constant() && bias->constant().rank() == 1 &&
      bias->constant().elements() == static_cast<int64_t>(quant.scale.size())) {
    const int64_t raised = fit_bias(bias->constant(), input->second.scale[0], quant);
    if (raised > 0) overflows.emplace_back(fmt::format("{} ({})", node.location(), raised));
  }
  recipe.weights[key_of(node)] = std::move(quant);
  if (bits == 4)
    recipe.four_bit[key_of(node)] = {
        .step = {}, .zero_point = {}, .axis = group_axis(node), .group_size = group};
  const Tensor codes = nearest_codes(node, recipe);
  correct_bias(node, profile, dequantize_weights(codes, recipe.weights.at(key_of(node))), recipe);
  if (counted) recipe.codes[key_of(node)] = codes;
  return {};
}

/// Scale and zero point of every value that lives in memory as bytes.
Status plan_activations(const ir::Graph& graph, const calib::Profile& profile, const Int8Options& options,
                        const IntegerRegions& regions, TieFreeScales& tie_free, Recipe& recipe) {
  for (const ir::Value* input : graph.inputs())
    if (regions.stored.contains(input)) {
      NARROW_TRY(recipe.activations[input->name], range_of(input, profile, options));
    }
  for (const ir::Node* node : graph.nodes()) {
    const auto input =
        node->input(0) != nullptr ? recipe.activations.find(node->input(0)->name) : recipe.activations.end();
    const bool moves =
        regions.nodes.contains(node) && keeps_scale(*node) && input != recipe.activations.end();
    for (const ir::Value* output : node->outputs()) {
      if (!regions.stored.contains(output)) continue;
      if (moves) {
        const Quantization scale = input->second;
        recipe.activations[output->name] = scale;
      } else {
        NARROW_TRY(recipe.activations[output->name], range_of(output, profile, options));
        tie_free.move_stored_sum(output);
      }
    }
  }
  return {};
}

/// Whether those who read a value beside a Concat may read it with the Concat's scale: nearly their own, and
/// nothing that moves the value has taken that over. Along a chain of Concats values are rounded once then,
/// not at every link.
bool may_differ(const ir::Value* value, const Quantization& own, const Quantization& scale) {
  constexpr float kWidest = 1.05F, kNarrowest = 0.95F;
  const float ratio = scale.scale[0] / own.scale[0];
  const std::vector<ir::Use>& uses = value->uses();
  return ratio >= kNarrowest && ratio <= kWidest &&
         std::all_of(uses.begin(), uses.end(), [](const ir::Use& use) {
           return use.node->op() == ir::Op::Concat || !keeps_scale(*use.node);
         });
}

/// `value` is stored with this scale too, and what only moved into it; false: something else reads it to
/// which that would matter, or it has a scale of its own for another reason.
bool take_scale(const ir::Graph& graph, const ir::Value* value, const Quantization& scale,
                const IntegerRegions& regions, Recipe& recipe) {
  const ir::Node* producer = value->producer();
  const bool is_result = std::any_of(graph.outputs().begin(), graph.outputs().end(),
                                     [&](const ir::GraphOutput& output) { return output.value == value; });
  if (producer == nullptr || producer->outputs().size() != 1 || is_result ||
      !regions.stored.contains(value) || !regions.nodes.contains(producer))
    return false;
  Quantization& own = recipe.activations[value->name];
  if (value->uses().size() != 1 && !may_differ(value, own, scale)) return false;
  if (keeps_scale(*producer) && !take_scale(graph, producer->input(0), scale, regions, recipe)) return false;
  own = scale;
  return true;
}

/// `asked`: why its weights should be in 4 bits; empty: nobody asked.
NodeChoice in_bytes(const Recipe& recipe, const std::string& key, const std::string& asked) {
  if (recipe.four_bit.contains(key)) return {NodeFormat::w4a8, asked};
  if (asked.empty()) return {NodeFormat::int8, ""};
  return {NodeFormat::int8,
          fmt::format("{}; not in w4a8: it sums fewer than {} weights", asked, kFewestInFourBits)};
}

/// What only a Concat reads is written in the Concat's scale at once: rounded one time, not two, and the
/// Concat only moves bytes.
void share_concat_scales(const ir::Graph& graph, const IntegerRegions& regions, Recipe& recipe) {
  std::vector<ir::Node*> nodes = graph.nodes();
  std::reverse(nodes.begin(), nodes.end());
  for (const ir::Node* node : nodes) {
    if (node->op() != ir::Op::Concat || !regions.nodes.contains(node)) continue;
    const auto found = recipe.activations.find(node->output()->name);
    if (found == recipe.activations.end()) continue;
    const Quantization scale = found->second;
    for (const ir::Value* input : node->inputs()) take_scale(graph, input, scale, regions, recipe);
  }
}

}  // namespace

Result<Recipe> plan_int8(const ir::Graph& graph, const calib::Profile& profile, const Int8Options& options,
                         const Wide& wide) {
  Recipe recipe;
  recipe.precision = wide.empty() ? Precision::int8 : Precision::mixed;
  recipe.target = options.target;
  std::set<std::string> outside = outside_bytes(wide, options.target);
  SplitConcats split = split_concats(graph, profile, options.ranges, outside);
  outside.merge(split.nodes);
  recipe.notes = std::move(split.notes);
  const IntegerRegions regions = integer_regions(graph, outside);
  TieFreeScales tie_free(regions, recipe);
  NARROW_DO(plan_activations(graph, profile, options, regions, tie_free, recipe));
  share_concat_scales(graph, regions, recipe);
  const std::unordered_set<const ir::Node*> half = half_region(graph, {});
  const bool rest_is_half = options.wide_format != NodeFormat::fp32 && !wide.empty();
  std::vector<std::string> overflows;  // layers with biases beyond int32
  for (const ir::Node* node : graph.nodes()) {
    const std::string& key = key_of(*node);
    if (regions.nodes.contains(node)) {
      const bool asked = asks_for_four_bits(wide, key, options.target);
      if (is_heavy(*node))
        NARROW_DO(plan_weights(*node, asked ? 4 : options.weight_bits, profile, options, tie_free, recipe,
                               overflows));
      recipe.nodes[key] = in_bytes(recipe, key, asked ? wide.at(key).reason : "");
    } else if (is_large_table(*node) && !wide.contains(key) && options.target == Target::portable) {
      recipe.tables[key] = weight_scales(node->input(0)->constant(), 1);
    } else if (wide.contains(key)) {
      recipe.nodes[key] = plan_wide_layer(*node, wide.at(key), options.wide_format, half, &profile,
                                          {options.target, options.group_size}, recipe);
    } else if (rest_is_half && half.contains(node) && (node->op() == ir::Op::Attention || is_heavy(*node))) {
      recipe.nodes[key] = {options.wide_format, ""};
      correct_half_bias(*node, profile, options.wide_format, recipe);
    }
  }
  add_followers(graph, profile, wide, recipe);
  if (!overflows.empty())
    recipe.notes.push_back(fmt::format(
        "bias beyond int32 in some channels, whose weight scale was raised: {}", fmt::join(overflows, ", ")));
  return recipe;
}

}  // namespace narrow::quant
