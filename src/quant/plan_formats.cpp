#include "quant/plan_formats.h"

#include <fmt/format.h>

#include "quant/regions.h"
#include "quant/weights.h"

namespace narrow::quant {

void correct_bias(const ir::Node& node, const calib::Profile& profile, const Tensor& rounded,
                  Recipe& recipe) {
  if (node.op() == ir::Op::MatMul) return;
  const ir::Value* x = node.input(0);
  const auto it = profile.values.find(x->origin.empty() ? x->name : x->origin);
  const Tensor& weights = weights_of(node)->constant();
  const int64_t axis = channel_axis(node), groups = node.op() == ir::Op::Conv ? node.int_attr("group", 1) : 1;
  if (it == profile.values.end() ||
      static_cast<int64_t>(it->second.channel_mean.size()) != weights.dim(axis == 0 ? 1 : 0) * groups)
    return;
  recipe.bias_corrections[key_of(node)] =
      bias_correction(weights, rounded, axis, groups, it->second.channel_mean);
}

int64_t standard_group_size(Precision precision) { return precision == Precision::w4a8 ? 16 : 32; }

GroupOptions group_options(Precision precision, const PlanOptions& options) {
  const GroupFormat* format = group_format(precision);
  NARROW_CHECK(format != nullptr);
  const bool tensorrt = options.target == Target::tensorrt;
  return {.bits = format->bits,
          .group_size = options.group_size.value_or(standard_group_size(precision)),
          .symmetric = tensorrt || format->bits == 8 || format->set != CodeSet::integers,
          .f32_scales = tensorrt,
          .set = format->set};
}

bool needs_profile(Precision precision) {
  return precision == Precision::int8 || precision == Precision::fp16 || precision == Precision::w4a8;
}

namespace {

Result<Recipe> plan_w4a8(const ir::Graph& graph, const calib::Profile& profile, const PlanOptions& options,
                         const Wide& wide) {
  if (options.target == Target::tensorrt)
    return Error{.code = Code::invalid_argument,
                 .subject = "w4a8",
                 .expected = "int8, int4, fp16, bf16 or fp32 for TensorRT",
                 .got = "weights of 4 bits for data of 8",
                 .hint = "TensorRT takes int4 for weights only"};
  const int64_t group_size = options.group_size.value_or(standard_group_size(Precision::w4a8));
  NARROW_TRY(Recipe recipe,
             plan_int8(graph, profile, {.ranges = options.ranges, .step_group = group_size, .weight_bits = 4},
                       wide));
  recipe.precision = Precision::w4a8;
  recipe.notes.push_back(fmt::format(
      "4-bit weights: {} of {} layers, {}, the others sum fewer than {} and keep 8 bits; {:.4g} bits a "
      "weight with steps and scales; computed in int8",
      recipe.four_bit.size(), recipe.weights.size(),
      group_size == 0 ? "a scale per channel" : fmt::format("groups of {}", group_size), kFewestInFourBits,
      stored_weights(recipe).bits_per_weight()));
  return recipe;
}

}  // namespace

Result<Recipe> plan(const ir::Graph& graph, const calib::Profile* profile, Precision precision,
                    const PlanOptions& options, const Wide& wide) {
  const bool wants_profile = needs_profile(precision);
  if (precision == Precision::mixed || (wants_profile && profile == nullptr))
    return Error{.code = Code::invalid_argument,
                 .subject = to_string(precision),
                 .expected = wants_profile ? "a calibration profile" : "a uniform precision",
                 .got = wants_profile ? "none" : "a search over precisions",
                 .hint = ""};
  const int64_t group_size = options.group_size.value_or(standard_group_size(precision));
  const LayerOptions layers{options.target, group_size};
  switch (precision) {
    case Precision::bf16:
      return plan_half(graph, profile, NodeFormat::bf16, wide, layers);
    case Precision::fp16:
      return plan_half(graph, profile, NodeFormat::fp16, wide, layers);
    case Precision::int8: {
      NARROW_TRY(Recipe recipe,
                 plan_int8(graph, *profile,
                           {.ranges = options.ranges,
                            .target = options.target,
                            .group_size = group_size,
                            .step_group = options.group_size.value_or(standard_group_size(Precision::w4a8))},
                           wide));
      recipe.precision = Precision::int8;
      return recipe;
    }
    case Precision::int8_dynamic:
      if (options.target == Target::tensorrt)
        return Error{.code = Code::invalid_argument,
                     .subject = "int8-dynamic",
                     .expected = "int8, int4, fp16, bf16 or fp32 for TensorRT",
                     .got = "scales that are computed at run time",
                     .hint = "TensorRT takes constant scales only"};
      return plan_int8_dynamic(graph, profile, wide, layers);
    case Precision::w4a8:
      return plan_w4a8(graph, *profile, options, wide);
    case Precision::int8_weights:
    case Precision::int4:
    case Precision::int3:
    case Precision::int2:
    case Precision::ternary:
    case Precision::binary:
      return plan_weight_only(graph, profile, group_options(precision, options), options.target, wide);
    default:
      return Recipe{};
  }
}

}  // namespace narrow::quant