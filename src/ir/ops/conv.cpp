#include "ir/ops/conv.h"

#include <fmt/format.h>

#include "ir/ops/families.h"
#include "ir/ops/window.h"

namespace narrow::ir::ops {
namespace {

/// Dims of data x and weights w; the one without a rank gets unknown dims. Nothing when both lack one.
struct Operands {
  Dims x, w;
};
Result<std::optional<Operands>> operands(const NodeView& view, int x, int w) {
  const TensorType& tx = view.type(x);
  const TensorType& tw = view.type(w);
  if (!tx.ranked && !tw.ranked) return std::optional<Operands>();
  const int64_t rank = tw.ranked ? tw.rank() : tx.rank();
  if (rank < 3) return view.error("data and weights of rank 3 or more", fmt::format("rank {}", rank));
  NARROW_TRY(Dims dx, dims_of_rank(view, x, rank));
  NARROW_TRY(Dims dw, dims_of_rank(view, w, rank));
  return std::optional(Operands{std::move(dx), std::move(dw)});
}

std::vector<int64_t> kernel_of(const Dims& w) {
  std::vector<int64_t> kernel;
  for (size_t i = 2; i < w.size(); ++i) kernel.push_back(w[i].known() ? w[i].value : -1);
  return kernel;
}

Result<int64_t> group_of(const NodeView& view) {
  const int64_t group = view.node().int_attr("group", 1);
  if (group < 1) return view.error("group >= 1", std::to_string(group));
  return group;
}

Inferred infer_conv(const NodeView& view) {
  NARROW_TRY(const DType dtype, real_dtype(view, {0, 1}));
  NARROW_TRY(const auto dims, conv_dims(view, 0, 1));
  return Types{dims ? ranked(dtype, *dims) : TensorType::unranked(dtype)};
}

/// Sizes of the spatial axes as attribute output_shape states them (spatial axes only, or all of them).
Result<std::vector<int64_t>> stated_shape(const NodeView& view, size_t spatial_rank) {
  std::vector<int64_t> sizes = view.node().ints_attr("output_shape");
  if (sizes.size() == spatial_rank + 2) sizes.erase(sizes.begin(), sizes.begin() + 2);
  if (!sizes.empty() && sizes.size() != spatial_rank)
    return view.error(fmt::format("{} numbers in output_shape", spatial_rank), std::to_string(sizes.size()));
  for (const int64_t size : sizes)
    if (size < 0) return view.error("output_shape >= 0", std::to_string(size));
  return sizes;
}

Result<std::vector<int64_t>> output_padding_of(const NodeView& view, size_t spatial_rank) {
  std::vector<int64_t> padding = view.node().ints_attr("output_padding");
  if (padding.empty()) padding.assign(spatial_rank, 0);
  bool good = padding.size() == spatial_rank;
  for (const int64_t p : padding) good &= p >= 0;
  if (!good)
    return view.error(fmt::format("{} numbers >= 0 in output_padding", spatial_rank), "another list");
  return padding;
}

/// Channels: X's C equals W's first axis; Y has W's second axis times group.
Result<Dim> transposed_channels(const NodeView& view, const Dim& in, const Dims& w) {
  NARROW_TRY(const int64_t group, group_of(view));
  if (!unify(in, w[0]))
    return view.error("as many channels in X as W has rows",
                      ir::to_string(in) + " and " + ir::to_string(w[0]));
  if (w[0].known() && w[0].value % group != 0)
    return view.error(fmt::format("channels divisible by group {}", group), ir::to_string(w[0]));
  if (!w[1].known()) return Dim();
  const auto channels = as_dim(Wide{w[1].value} * group);
  if (!channels) return view.error("channels that fit in 63 bits", ir::to_string(w[1]));
  return Dim(*channels);
}

Inferred infer_conv_transpose(const NodeView& view) {
  NARROW_TRY(const DType dtype, real_dtype(view, {0, 1}));
  NARROW_TRY(const auto both, operands(view, 0, 1));
  if (!both) return Types{TensorType::unranked(dtype)};
  const auto& [x, w] = *both;
  NARROW_TRY(const Layout at, layout_of(view, static_cast<int64_t>(x.size())));
  NARROW_TRY(const Window window, window_of(view, kernel_of(w)));
  NARROW_TRY(const std::vector<int64_t> stated, stated_shape(view, at.spatial_rank));
  NARROW_TRY(const std::vector<int64_t> padding, output_padding_of(view, at.spatial_rank));
  Dims y = x;
  NARROW_TRY(y[at.channel], transposed_channels(view, x[at.channel], w));
  for (size_t i = 0; i < at.spatial_rank; ++i) {
    if (!stated.empty()) {
      y[at.space + i] = Dim(stated[i]);
    } else {
      NARROW_TRY(y[at.space + i], transposed_extent(view, window, i, padding[i], x[at.space + i]));
    }
  }
  NARROW_DO(check_vector(view, 2, y[at.channel]));
  return Types{ranked(dtype, std::move(y))};
}

}  // namespace

Status check_vector(const NodeView& view, int b, const Dim& channels) {
  if (!view.has(b) || !view.type(b).ranked) return {};
  const TensorType& type = view.type(b);
  if (type.rank() == 1 && unify(type.dims[0], channels)) return {};
  return view.error(fmt::format("input {} of shape [{}]", b, ir::to_string(channels)), ir::to_string(type));
}

Result<std::optional<Dims>> conv_dims(const NodeView& view, int x_input, int w_input) {
  NARROW_TRY(const auto both, operands(view, x_input, w_input));
  if (!both) return std::optional<Dims>();
  const auto& [x, w] = *both;
  NARROW_TRY(const Layout at, layout_of(view, static_cast<int64_t>(x.size())));
  NARROW_TRY(const int64_t group, group_of(view));
  const Dim& channels = x[at.channel];
  if (channels.known() && w[1].known() && Wide{w[1].value} * group != channels.value)
    return view.error(fmt::format("weights for {} channels in {} groups", channels.value, group),
                      to_string(w));
  if (w[0].known() && w[0].value % group != 0)
    return view.error(fmt::format("output channels divisible by group {}", group), to_string(w));
  NARROW_TRY(const Window window, window_of(view, kernel_of(w)));
  Dims y = x;
  y[at.channel] = w[0];
  for (size_t i = 0; i < at.spatial_rank; ++i) {
    NARROW_TRY(y[at.space + i], window_positions(view, window, i, x[at.space + i]));
  }
  return std::optional(std::move(y));
}

Schemas conv_ops() {
  return {
      {.op = Op::Conv,
       .domain = "",
       .since = 1,
       .doc = "Y[n,o,p] = sum over c,k of X[n,c,p*stride+k*dilation-pad] * W[o,c,k] + B[o]",
       .inputs = {{"X", kReals},
                  {"W", kReals},
                  {"B", {DType::f32, DType::f64, DType::f16, DType::bf16, DType::s32}, kOptional}},
       .outputs = {{"Y", kReals}},
       .infer = infer_conv},
      {.op = Op::ConvTranspose,
       .domain = "",
       .since = 1,
       .doc = "the adjoint of Conv: X[n,c,p] * W[c,o,k] added into Y[n,o,p*stride+k*dilation-pad], plus B[o]",
       .inputs = {{"X", kReals},
                  {"W", kReals},
                  {"B", {DType::f32, DType::f64, DType::f16, DType::bf16, DType::s32}, kOptional}},
       .outputs = {{"Y", kReals}},
       .infer = infer_conv_transpose}};
}

}  // namespace narrow::ir::ops
