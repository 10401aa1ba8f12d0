// MaxPool, AveragePool and their global forms -> kernels/pool.
#include "kernels/pool/pool.h"

#include "runtime/lower/format.h"
#include "runtime/lower/lower.h"

namespace narrow::runtime::lower {
namespace {

using ir::Op;

std::string make_spec(const NodeCase& c, kernels::PoolSpec& spec) {
  const ir::Node& node = c.node;
  if (node.int_attr("channels_last", 0) != 1 || c.in(0).rank() != 4) return "channels are not last";
  if (node.outputs().size() > 1) return "indices are wanted";
  if (!has_format(c.in(0)) || !has_format(c.out())) return "types are not float or 8-bit per tensor";
  const Shape x = c.in(0).shape(), y = c.out().shape();
  const bool global = node.op() == Op::GlobalAveragePool || node.op() == Op::GlobalMaxPool;
  spec.kind = node.op() == Op::MaxPool || node.op() == Op::GlobalMaxPool ? kernels::PoolKind::max
                                                                         : kernels::PoolKind::average;
  spec.src = format_of(c.in(0));
  spec.dst = format_of(c.out());
  if (global) {
    spec.shape = kernels::PoolShape::global(x[0], x[1], x[2], x[3]);
    return "";
  }
  const auto kernel = node.ints_attr("kernel_shape"), strides = node.ints_attr("strides", {1, 1}),
             dilations = node.ints_attr("dilations", {1, 1}), pads = node.ints_attr("pads", {0, 0, 0, 0});
  if (kernel.size() != 2) return "kernel_shape is not 2-D";
  if (node.string_attr("auto_pad", "NOTSET") != "NOTSET") return "auto_pad is not resolved";
  spec.shape = {.n = x[0],
                .h = x[1],
                .w = x[2],
                .c = x[3],
                .oh = y[1],
                .ow = y[2],
                .kh = kernel[0],
                .kw = kernel[1],
                .stride_h = strides[0],
                .stride_w = strides[1],
                .dilation_h = dilations[0],
                .dilation_w = dilations[1],
                .pad_top = pads[0],
                .pad_left = pads[1],
                .pad_bottom = pads[2],
                .pad_right = pads[3]};
  spec.count_include_pad = node.int_attr("count_include_pad", 0) != 0;
  return "";
}

}  // namespace

void add_pools(Table& table) {
  for (const Op op : {Op::MaxPool, Op::AveragePool, Op::GlobalAveragePool, Op::GlobalMaxPool})
    table[op].push_back({.name = "pool",
                         .isa = Isa::plain,
                         .unsupported =
                             [](const NodeCase& c) {
                               kernels::PoolSpec spec;
                               return make_spec(c, spec);
                             },
                         .create = [](const NodeCase& c) -> Result<std::unique_ptr<Kernel>> {
                           kernels::PoolSpec spec;
                           NARROW_CHECK(make_spec(c, spec).empty());
                           return make_kernel([spec, isa = c.isa](const StepBuffers& b, ThreadPool& pool) {
                             kernels::pool(spec, b.inputs[0], b.outputs[0], isa, pool);
                           });
                         },
                         .formats = "f32 bf16 f16 u8 s8"});
}

}  // namespace narrow::runtime::lower
