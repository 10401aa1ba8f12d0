// LayerNormalization, RMSNormalization, GroupNormalization, InstanceNormalization, LRN, Softmax ->
// kernels/norm, kernels/softmax.
#include "kernels/norm/norm.h"

#include <fmt/format.h>

#include "kernels/norm/group_norm.h"
#include "kernels/norm/lrn.h"
#include "kernels/softmax/softmax.h"
#include "runtime/lower/format.h"
#include "runtime/lower/lower.h"

namespace narrow::runtime::lower {
namespace {

using ir::Op;

bool is_last_axis(const NodeCase& c, int64_t axis) { return axis == -1 || axis == c.in(0).rank() - 1; }

bool is_vector(const NodeCase& c, int i, int64_t length) {
  return !c.has(i) ||
         (c.in(i).dtype == DType::f32 && c.in(i).is_static() && elements_of(c.in(i).shape()) == length);
}

std::string norm_unsupported(const NodeCase& c) {
  if (!has_format(c.in(0)) || !has_format(c.out())) return "types are not float or 8-bit per tensor";
  if (c.node.outputs().size() > 1) return "mean or deviation is wanted";
  if (c.in(0).rank() < 1 || !is_last_axis(c, c.node.int_attr("axis", -1))) return "axis is not the last";
  const int64_t columns = c.in(0).shape().back();
  if (!is_vector(c, 1, columns) || !is_vector(c, 2, columns)) return "scale or bias is not an f32 vector";
  return "";
}

Result<std::unique_ptr<Kernel>> create_norm(const NodeCase& c) {
  const Shape shape = c.in(0).shape();
  kernels::NormSpec spec;
  spec.rms = c.node.op() == Op::RMSNormalization;
  spec.columns = shape.back();
  spec.rows = spec.columns == 0 ? 0 : elements_of(shape) / spec.columns;
  spec.epsilon = c.node.float_attr("epsilon", 1e-5F);
  spec.src = format_of(c.in(0));
  spec.dst = format_of(c.out());
  const auto run = [spec, isa = c.isa](const StepBuffers& b, ThreadPool& pool) {
    const auto vector = [&](size_t i) {
      return b.inputs.size() > i ? static_cast<const float*>(b.inputs[i]) : nullptr;
    };
    kernels::norm(spec,
                  {.src = b.inputs[0],
                   .gamma = vector(1),
                   .beta = vector(2),
                   .dst = b.outputs[0],
                   .scratch = b.scratch},
                  isa, pool);
  };
  return make_kernel(run, kernels::norm_scratch_bytes(spec, c.threads));
}

std::string group_norm_unsupported(const NodeCase& c) {
  if (!has_format(c.in(0)) || !has_format(c.out())) return "types are not float or 8-bit per tensor";
  if (c.node.int_attr("channels_last", 0) == 0) return "channels are not last";
  const int64_t channels = c.in(0).shape().back();
  if (!is_vector(c, 1, channels) || !is_vector(c, 2, channels)) return "scale or bias is not an f32 vector";
  return "";
}

/// An instance is a group of one channel.
Result<std::unique_ptr<Kernel>> create_group_norm(const NodeCase& c) {
  const Shape shape = c.in(0).shape();
  kernels::GroupNormSpec spec;
  spec.images = shape.front();
  spec.channels = shape.back();
  spec.pixels = elements_of(Shape(shape.begin() + 1, shape.end() - 1));
  spec.groups = c.node.op() == Op::GroupNormalization ? c.node.int_attr("num_groups", 1) : spec.channels;
  spec.epsilon = c.node.float_attr("epsilon", 1e-5F);
  spec.src = format_of(c.in(0));
  spec.dst = format_of(c.out());
  const auto run = [spec, isa = c.isa](const StepBuffers& b, ThreadPool& pool) {
    kernels::group_norm(spec,
                        {.src = b.inputs[0],
                         .gamma = static_cast<const float*>(b.inputs[1]),
                         .beta = static_cast<const float*>(b.inputs[2]),
                         .dst = b.outputs[0],
                         .scratch = b.scratch},
                        isa, pool);
  };
  return make_kernel(run, kernels::group_norm_scratch_bytes(spec));
}

std::string lrn_unsupported(const NodeCase& c) {
  if (!has_format(c.in(0)) || !has_format(c.out())) return "types are not float or 8-bit per tensor";
  if (c.node.int_attr("channels_last", 0) == 0) return "channels are not last";
  const int64_t size = c.node.int_attr("size", 0);
  return size >= 1 && size <= kernels::kMostLrnSize ? "" : fmt::format("size {}", size);
}

Result<std::unique_ptr<Kernel>> create_lrn(const NodeCase& c) {
  const Shape shape = c.in(0).shape();
  const kernels::LrnSpec spec{.rows = shape.back() == 0 ? 0 : elements_of(shape) / shape.back(),
                              .channels = shape.back(),
                              .size = c.node.int_attr("size", 0),
                              .alpha = c.node.float_attr("alpha", 1e-4F),
                              .beta = c.node.float_attr("beta", 0.75F),
                              .bias = c.node.float_attr("bias", 1),
                              .src = format_of(c.in(0)),
                              .dst = format_of(c.out())};
  return make_kernel([spec, isa = c.isa](const StepBuffers& b, ThreadPool& pool) {
    kernels::lrn(spec, b.inputs[0], b.outputs[0], isa, pool);
  });
}

std::string softmax_unsupported(const NodeCase& c) {
  if (!has_format(c.in(0)) || !has_format(c.out())) return "types are not float or 8-bit per tensor";
  return c.in(0).rank() >= 1 && is_last_axis(c, c.node.int_attr("axis", -1)) ? "" : "axis is not the last";
}

Result<std::unique_ptr<Kernel>> create_softmax(const NodeCase& c) {
  const Shape shape = c.in(0).shape();
  kernels::SoftmaxSpec spec;
  spec.log = c.node.op() == Op::LogSoftmax;
  spec.columns = shape.back();
  spec.rows = spec.columns == 0 ? 0 : elements_of(shape) / spec.columns;
  spec.src = format_of(c.in(0));
  spec.dst = format_of(c.out());
  const auto run = [spec, isa = c.isa](const StepBuffers& b, ThreadPool& pool) {
    kernels::softmax(spec, b.inputs[0], b.outputs[0], b.scratch, isa, pool);
  };
  return make_kernel(run, kernels::softmax_scratch_bytes(spec, c.threads));
}

}  // namespace

void add_norms(Table& table) {
  for (const Op op : {Op::LayerNormalization, Op::RMSNormalization})
    table[op].push_back({.name = "norm",
                         .isa = Isa::plain,
                         .unsupported = norm_unsupported,
                         .create = create_norm,
                         .formats = "f32 bf16 f16 u8 s8"});
  for (const Op op : {Op::GroupNormalization, Op::InstanceNormalization})
    table[op].push_back({.name = "group_norm",
                         .isa = Isa::plain,
                         .unsupported = group_norm_unsupported,
                         .create = create_group_norm,
                         .formats = "f32 bf16 f16 u8 s8"});
  table[Op::LRN].push_back({.name = "lrn",
                            .isa = Isa::plain,
                            .unsupported = lrn_unsupported,
                            .create = create_lrn,
                            .formats = "f32 bf16 f16 u8 s8"});
  for (const Op op : {Op::Softmax, Op::LogSoftmax})
    table[op].push_back({.name = "softmax",
                         .isa = Isa::plain,
                         .unsupported = softmax_unsupported,
                         .create = create_softmax,
                         .formats = "f32 bf16 f16 u8 s8"});
}

}  // namespace narrow::runtime::lower
