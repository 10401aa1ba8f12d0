// QuantizeLinear, DequantizeLinear, Cast and requantization -> kernels/quantize, kernels/elementwise.
#include <algorithm>

#include "kernels/elementwise/elementwise.h"
#include "kernels/quantize/blocks.h"
#include "kernels/quantize/image.h"
#include "kernels/quantize/quantize.h"
#include "kernels/quantize/rows.h"
#include "runtime/lower/format.h"
#include "runtime/lower/lower.h"

namespace narrow::runtime::lower {
namespace {

using ir::Op;

/// Scales and zero points of a Q or DQ node with its channel axis unrolled; empty reason when kernels know
/// it.
struct LinearCase {
  std::vector<float> scale;
  std::vector<int32_t> zero_point;
  int64_t outer = 1, channels = 1, inner = 1;
};

std::string make_linear(const NodeCase& c, LinearCase& linear) {
  if (c.constant(1) == nullptr || (c.has(2) && c.constant(2) == nullptr))
    return "scale or zero point is not constant";
  if (c.node.int_attr("block_size", 0) != 0) return "blocked scales";
  if (c.node.int_attr("precision", 0) > 1) return "the division is not in FP32";
  const Shape shape = c.in(0).shape();
  linear.scale = to_floats(*c.constant(1));
  linear.zero_point.assign(linear.scale.size(), 0);
  if (c.has(2)) {
    const std::vector<int64_t> zeros = to_ints(*c.constant(2));
    if (zeros.size() != linear.scale.size()) return "scale and zero point differ in size";
    linear.zero_point.assign(zeros.begin(), zeros.end());
  }
  linear.inner = elements_of(shape);
  if (c.constant(1)->rank() == 0 || linear.scale.size() == 1) return "";
  int64_t axis = c.node.int_attr("axis", 1);
  if (axis < 0) axis += c.in(0).rank();
  if (axis < 0 || axis >= c.in(0).rank() ||
      shape[static_cast<size_t>(axis)] != static_cast<int64_t>(linear.scale.size()))
    return "axis and scales disagree";
  linear.channels = shape[static_cast<size_t>(axis)];
  linear.outer = elements_of(Shape(shape.begin(), shape.begin() + axis));
  linear.inner = elements_of(Shape(shape.begin() + axis + 1, shape.end()));
  return "";
}

std::string linear_unsupported(const NodeCase& c) {
  const bool quantize = c.node.op() == Op::QuantizeLinear;
  const DType narrow_type = quantize ? c.out().dtype : c.in(0).dtype,
              wide_type = quantize ? c.in(0).dtype : c.out().dtype;
  if (!(is_int8(narrow_type) || (!quantize && narrow_type == DType::s32)) || !is_kernel_float(wide_type))
    return "types are not 8-bit and float";
  LinearCase linear;
  return make_linear(c, linear);
}

Result<std::unique_ptr<Kernel>> create_linear(const NodeCase& c) {
  LinearCase linear;
  NARROW_CHECK(make_linear(c, linear).empty());
  const bool quantize = c.node.op() == Op::QuantizeLinear;
  const DType src = c.in(0).dtype, dst = c.out().dtype;
  return make_kernel(
      [linear = std::move(linear), quantize, src, dst, isa = c.isa](const StepBuffers& b, ThreadPool& pool) {
        const kernels::QuantizeSpec spec{.src = src,
                                         .dst = dst,
                                         .outer = linear.outer,
                                         .channels = linear.channels,
                                         .inner = linear.inner,
                                         .scale = linear.scale.data(),
                                         .zero_point = linear.zero_point.data()};
        if (quantize)
          kernels::quantize_linear(spec, b.inputs[0], b.outputs[0], isa, pool);
        else
          kernels::dequantize_linear(spec, b.inputs[0], b.outputs[0], isa, pool);
      });
}

std::string image_unsupported(const NodeCase& c) {
  LinearCase linear;
  if (std::string reason = make_linear(c, linear); !reason.empty()) return reason;
  if (linear.scale.size() != 1) return "a scale for each channel";
  return is_kernel_float(c.in(0).dtype) ? "" : "data is not float";
}

Result<std::unique_ptr<Kernel>> create_image(const NodeCase& c) {
  LinearCase linear;
  NARROW_CHECK(make_linear(c, linear).empty());
  const Shape shape = c.in(0).shape();
  const kernels::QuantizeImageSpec spec{.src = c.in(0).dtype,
                                        .dst = c.out().dtype,
                                        .images = shape[0],
                                        .channels = shape[1],
                                        .pixels = shape[2] * shape[3],
                                        .scale = linear.scale[0],
                                        .zero_point = linear.zero_point[0]};
  return make_kernel([spec, isa = c.isa](const StepBuffers& b, ThreadPool& pool) {
    kernels::quantize_image(spec, b.inputs[0], b.outputs[0], isa, pool);
  });
}

/// Constant codes' scales and zero points as floats, with the strides that find an element's.
struct BlockCase {
  kernels::BlockSpec spec;
  std::vector<float> scale, zero_point;
};

std::string make_blocks(const NodeCase& c, BlockCase& blocks) {
  const Tensor *scale = c.constant(1), *zero_point = c.has(2) ? c.constant(2) : nullptr;
  if (scale == nullptr || (c.has(2) && zero_point == nullptr)) return "scale or zero point is not constant";
  if (!(is_narrow(c.in(0).dtype) || is_int8(c.in(0).dtype)) || !is_kernel_float(c.out().dtype))
    return "types are not of 8 bits at most and float";
  if (zero_point != nullptr && zero_point->shape() != scale->shape())
    return "scale and zero point differ in shape";
  const Shape shape = c.in(0).shape();
  kernels::BlockSpec& spec = blocks.spec;
  spec.src = c.in(0).dtype, spec.dst = c.out().dtype;
  blocks.scale = to_floats(*scale);
  if (zero_point != nullptr) blocks.zero_point = to_floats(*zero_point);
  if (scale->elements() == 1 && scale->rank() <= 1) {
    spec.axis = spec.block = std::max<int64_t>(elements_of(shape), 1);
    spec.outer = elements_of(shape) == 0 ? 0 : 1;
    return "";
  }
  const int64_t rank = c.in(0).rank(), block = c.node.int_attr("block_size", 0);
  int64_t axis = c.node.int_attr("axis", 1);
  if (axis < 0) axis += rank;
  if (axis < 0 || axis >= rank) return "axis outside the shape";
  spec.axis = shape[static_cast<size_t>(axis)];
  spec.outer = elements_of(Shape(shape.begin(), shape.begin() + axis));
  spec.inner = elements_of(Shape(shape.begin() + axis + 1, shape.end()));
  spec.block_stride = 1;
  if (block == 0) return scale->shape() == Shape{spec.axis} ? "" : "axis and scales disagree";
  Shape wanted = shape;
  wanted[static_cast<size_t>(axis)] = spec.axis / block + (spec.axis % block != 0 ? 1 : 0);
  if (scale->shape() != wanted) return "blocks and scales disagree";
  spec.block = block;
  spec.block_stride = spec.inner;
  spec.inner_stride = 1;
  spec.outer_stride = wanted[static_cast<size_t>(axis)] * spec.inner;
  return "";
}

std::string blocks_unsupported(const NodeCase& c) {
  BlockCase blocks;
  return make_blocks(c, blocks);
}

Result<std::unique_ptr<Kernel>> create_blocks(const NodeCase& c) {
  BlockCase made;
  NARROW_CHECK(make_blocks(c, made).empty());
  return make_kernel([made = std::move(made), isa = c.isa](const StepBuffers& b, ThreadPool& pool) {
    kernels::BlockSpec spec = made.spec;
    spec.scale = made.scale.data();
    spec.zero_point = made.zero_point.empty() ? nullptr : made.zero_point.data();
    kernels::dequantize_blocks(spec, b.inputs[0], b.outputs[0], isa, pool);
  });
}

std::string cast_unsupported(const NodeCase& c) {
  if (is_narrow(c.in(0).dtype) || is_narrow(c.out().dtype)) return "types below 8 bits or 8-bit floats";
  return c.in(0).quant || c.out().quant ? "quantized types" : "";
}

Result<std::unique_ptr<Kernel>> create_cast(const NodeCase& c) {
  return make_kernel([from = c.in(0).dtype, to = c.out().dtype, n = elements_of(c.out().shape()),
                      isa = c.isa](const StepBuffers& b, ThreadPool& pool) {
    kernels::convert(from, to, b.inputs[0], b.outputs[0], n, isa, pool);
  });
}

/// Identity between two formats: requantization by table, or a float conversion.
std::string requantize_unsupported(const NodeCase& c) {
  return has_format(c.in(0)) && has_format(c.out()) ? "" : "types are not float or 8-bit per tensor";
}

Result<std::unique_ptr<Kernel>> create_requantize(const NodeCase& c) {
  const kernels::UnarySpec spec{.function = {},
                                .src = format_of(c.in(0)),
                                .dst = format_of(c.out()),
                                .count = elements_of(c.out().shape())};
  if (!is_int8(spec.src.type))
    return make_kernel([spec, isa = c.isa](const StepBuffers& b, ThreadPool& pool) {
      kernels::unary(spec, b.inputs[0], b.outputs[0], isa, pool);
    });
  return make_kernel([table = kernels::unary_table(spec), n = spec.count, isa = c.isa](const StepBuffers& b,
                                                                                       ThreadPool& pool) {
    kernels::unary_lookup(table, b.inputs[0], b.outputs[0], n, isa, pool);
  });
}

std::string rows_unsupported(const NodeCase& c) {
  return c.in(0).dtype == DType::f32 && c.in(0).rank() > 0 ? "" : "data is not f32";
}

Result<std::unique_ptr<Kernel>> create_rows(const NodeCase& c) {
  const int64_t n = elements_of(c.in(0).shape());
  kernels::RowsSpec spec;
  spec.rows = elements_of(c.out(1).shape());
  spec.columns = spec.rows == 0 ? 0 : n / spec.rows;
  return make_kernel([spec, isa = c.isa](const StepBuffers& b, ThreadPool& pool) {
    kernels::quantize_rows(spec, static_cast<const float*>(b.inputs[0]), static_cast<uint8_t*>(b.outputs[0]),
                           static_cast<float*>(b.outputs[1]), isa, pool);
  });
}

Result<std::unique_ptr<Kernel>> create_dynamic(const NodeCase& c) {
  return make_kernel([n = elements_of(c.in(0).shape()), isa = c.isa](const StepBuffers& b, ThreadPool& pool) {
    const auto* x = static_cast<const float*>(b.inputs[0]);
    const kernels::DynamicQuant q = kernels::dynamic_quant(x, n, isa, pool);
    const kernels::QuantizeSpec spec{.inner = n, .scale = &q.scale, .zero_point = &q.zero_point};
    kernels::quantize_linear(spec, x, b.outputs[0], isa, pool);
    *static_cast<float*>(b.outputs[1]) = q.scale;
    *static_cast<uint8_t*>(b.outputs[2]) = static_cast<uint8_t>(q.zero_point);
  });
}

}  // namespace

void add_conversions(Table& table) {
  for (const Op op : {Op::QuantizeLinear, Op::DequantizeLinear})
    table[op].push_back({.name = "quantize",
                         .isa = Isa::plain,
                         .unsupported = linear_unsupported,
                         .create = create_linear,
                         .formats = "f32 bf16 f16 u8 s8"});
  table[Op::DequantizeLinear].push_back({.name = "dequantize_blocks",
                                         .isa = Isa::plain,
                                         .unsupported = blocks_unsupported,
                                         .create = create_blocks,
                                         .formats = "u4 s4 u2 s2 u8 s8 f8 f6 f4"});
  table[Op::QuantizeImage].push_back({.name = "quantize_image",
                                      .isa = Isa::plain,
                                      .unsupported = image_unsupported,
                                      .create = create_image,
                                      .formats = "f32 bf16 f16"});
  table[Op::QuantizeRows].push_back({.name = "quantize_rows",
                                     .isa = Isa::plain,
                                     .unsupported = rows_unsupported,
                                     .create = create_rows,
                                     .formats = "f32"});
  table[Op::DynamicQuantizeLinear].push_back({.name = "dynamic_quantize",
                                              .isa = Isa::plain,
                                              .unsupported =
                                                  [](const NodeCase& c) {
                                                    return std::string(
                                                        c.in(0).dtype == DType::f32 ? "" : "data is not f32");
                                                  },
                                              .create = create_dynamic,
                                              .formats = "f32"});
  table[Op::Cast].push_back(
      {.name = "convert", .isa = Isa::plain, .unsupported = cast_unsupported, .create = create_cast});
  table[Op::Identity].push_back({.name = "requantize",
                                 .isa = Isa::plain,
                                 .unsupported = requantize_unsupported,
                                 .create = create_requantize,
                                 .formats = "f32 bf16 f16 u8 s8"});
}

}  // namespace narrow::runtime::lower
