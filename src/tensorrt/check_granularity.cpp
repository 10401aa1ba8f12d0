#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <optional>

#include "tensorrt/context.h"

namespace narrow::tensorrt {
namespace {

using ir::Op;

/// Axes of a weight operand: the one that becomes the result channel, and the one that is summed over.
struct WeightAxes {
  int64_t channel, summed;
};

std::optional<WeightAxes> weight_axes(const ir::Use& use, int64_t rank) {
  const bool first = use.index == 0, second = use.index == 1;
  switch (use.node->op()) {
    case Op::Conv:
      return second ? std::optional(WeightAxes{0, 1}) : std::nullopt;
    case Op::ConvTranspose:
      return second ? std::optional(WeightAxes{1, 0}) : std::nullopt;
    case Op::MatMul:
      if (rank < 2) return {};
      if (first) return WeightAxes{rank - 2, rank - 1};
      return second ? std::optional(WeightAxes{rank - 1, rank - 2}) : std::nullopt;
    case Op::Gemm: {
      if (!first && !second) return {};
      const bool swapped = use.node->int_attr(first ? "transA" : "transB", 0) != 0;
      return swapped == second ? WeightAxes{0, 1} : WeightAxes{1, 0};
    }
    default:
      return {};
  }
}

/// Calls f(use, axes) for every product that takes `value` as an operand, through Transpose; axes are those
/// of the value the search began with: order[i] is where axis i lay there.
template <class F>
void for_each_product(const ir::Value& value, const std::vector<int64_t>& order, F&& f) {
  const auto rank = static_cast<int64_t>(order.size());
  for (const ir::Use& use : value.uses()) {
    if (use.node->op() == Op::Transpose) {
      std::vector<int64_t> perm = use.node->ints_attr("perm");
      if (perm.empty()) {
        perm.resize(order.size());
        std::iota(perm.rbegin(), perm.rend(), 0);
      }
      std::vector<int64_t> turned;
      for (const int64_t p : perm)
        if (p >= 0 && p < rank) turned.push_back(order[static_cast<size_t>(p)]);
      if (turned.size() == order.size()) for_each_product(*use.node->output(), turned, f);
    } else if (const auto axes = weight_axes(use, rank);
               axes && std::max(axes->channel, axes->summed) < rank) {
      f(use, WeightAxes{order[static_cast<size_t>(axes->channel)], order[static_cast<size_t>(axes->summed)]});
    }
  }
}

template <class F>
void for_each_product(const ir::Value& value, F&& f) {
  std::vector<int64_t> order(value.type.dims.size());
  std::iota(order.begin(), order.end(), 0);
  for_each_product(value, order, f);
}

int64_t axis_of(const ir::Node& linear, int64_t rank) {
  const int64_t axis = linear.int_attr("axis", 1);
  return axis < 0 ? axis + rank : axis;
}

/// The reals of a pair: what a DQ makes, or what the DQ behind a Q makes.
void check_axis(Context& context, const ir::Node& linear) {
  const ir::Value& reals = *linear.output();
  const int64_t axis = axis_of(linear, reals.type.rank());
  for_each_product(reals, [&](const ir::Use& use, const WeightAxes& axes) {
    if (axis != axes.channel)
      context.report(
          linear, "weight-axis",
          fmt::format("scales along axis {}, the result channel of {}", axes.channel, use.node->location()),
          fmt::format("axis {}", axis), "quantize per result channel, or with one scale");
  });
}

void check_blocks(Context& context, const ir::Node& linear) {
  const DType type = codes_of(linear).type.dtype;
  if (type != DType::s4 && type != DType::f4e2m1) {
    context.report(linear, "blocks", fmt::format("one scale, or one per channel, for {}", to_string(type)),
                   fmt::format("blocks of {}", linear.int_attr("block_size", 0)),
                   "keep blocks for s4 weights");
    return;
  }
  const ir::Value& reals = *linear.output();
  const int64_t axis = axis_of(linear, reals.type.rank());
  for_each_product(reals, [&](const ir::Use& use, const WeightAxes& axes) {
    if (axis != axes.summed)
      context.report(
          linear, "blocks",
          fmt::format("blocks along axis {}, which {} sums over", axes.summed, use.node->location()),
          fmt::format("axis {}", axis), "group the weights along the summed axis");
  });
}

void check_weight_only(Context& context, const ir::Node& linear) {
  const std::string expected = "constant weights of MatMul or Gemm, in blocks";
  const std::string remedy = "use s8 here";
  if (!is_weight(codes_of(linear)))
    return context.report(linear, "weight-only", expected, "an activation", remedy);
  if (linear.int_attr("block_size", 0) == 0)
    return context.report(linear, "weight-only", expected,
                          has_many_scales(linear) ? "scales along an axis" : "one scale",
                          "group the weights along the summed axis");
  for_each_product(*linear.output(), [&](const ir::Use& use, const WeightAxes&) {
    if (use.node->op() != Op::MatMul && use.node->op() != Op::Gemm)
      context.report(linear, "weight-only", expected, "weights of " + use.node->location(), remedy);
  });
}

}  // namespace

void check_granularity(Context& context, const ir::Node& linear) {
  const bool dequantizes = linear.op() == Op::DequantizeLinear;
  if (codes_of(linear).type.dtype == DType::s4 && dequantizes) check_weight_only(context, linear);
  if (linear.int_attr("block_size", 0) > 0) {
    if (dequantizes) check_blocks(context, linear);
    return;
  }
  if (!has_many_scales(linear)) return;
  if (is_weight(codes_of(linear))) {
    if (dequantizes) check_axis(context, linear);
  } else {
    context.report(linear, "per-tensor", "one scale for an activation", "scales along an axis",
                   "calibrate activations per tensor");
  }
}

}  // namespace narrow::tensorrt
