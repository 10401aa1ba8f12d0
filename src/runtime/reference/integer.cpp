// Exact integer products: ConvInteger, MatMulInteger, QLinearConv, QLinearMatMul, QGemm. Zero points come off
// first, sums run in 64 bits and are stored modulo 2^32; results leave with kernels/requantize.h's rounding.
#include <fmt/format.h>

#include "kernels/requantize.h"
#include "runtime/reference/convolve.h"
#include "runtime/reference/functions.h"
#include "runtime/reference/multiply.h"
#include "runtime/reference/quantized.h"

namespace narrow::runtime::reference {
namespace {

/// x - zero_point; the zero point broadcasts to x from shape `as` (its own shape when it is a scalar).
Result<std::vector<int32_t>> centred(const ir::Node& node, const Tensor& x, const Tensor* zero_point,
                                     Shape as) {
  if (!is_int8(x.dtype())) return wrong_type(node, x.dtype());
  const std::vector<int64_t> integers = to_ints(x);
  std::vector<int32_t> out(integers.begin(), integers.end());
  if (zero_point == nullptr) return out;
  if (zero_point->elements() == 1) as.clear();
  if (!is_int8(zero_point->dtype()) || elements_of(as) != zero_point->elements() ||
      !broadcasts_to(as, x.shape()))
    return invalid(node, "a zero point that fits " + to_string(x.shape()), to_string(zero_point->shape()));
  const std::vector<int64_t> zeros = to_ints(*zero_point);
  walk<1>(x.shape(), {broadcast_strides(as, x.shape())}, [&](int64_t i, const auto& at) {
    out[static_cast<size_t>(i)] -= static_cast<int32_t>(zeros[static_cast<size_t>(at[0])]);
  });
  return out;
}

/// A parameter per output channel is [m] and stands at the first axis of the weights.
Shape along_first(const Shape& w) {
  Shape as(w.size(), 1);
  if (!as.empty()) as[0] = w[0];
  return as;
}

/// Of A: one per row, [m] -> [m, 1]. Of B: one per column, as it broadcasts anyway. More axes: as they are.
Shape row_parameter(const Tensor* p) {
  if (p == nullptr || p->rank() != 1) return p == nullptr ? Shape{} : p->shape();
  return {p->dim(0), 1};
}
Shape column_parameter(const Tensor* p) { return p == nullptr ? Shape{} : p->shape(); }

int32_t narrow32(int64_t acc) {
  return static_cast<int32_t>(static_cast<uint32_t>(static_cast<uint64_t>(acc)));
}

/// One number, or one per output channel.
Result<std::vector<double>> channel_scales(const ir::Node& node, const Tensor& t, int64_t channels) {
  if (t.elements() == 0 || (t.elements() != 1 && t.elements() != channels))
    return invalid(node, fmt::format("1 or {} scales", channels), to_string(t.shape()));
  std::vector<double> scales = to_doubles(t);
  scales.resize(static_cast<size_t>(channels), scales[0]);
  return scales;
}

/// A scale of [rows] or [columns] or a scalar, or with all axes, for every element of the product.
Result<std::vector<double>> spread_scale(const ir::Node& node, const Tensor& t, Shape as,
                                         const Shape& result) {
  if (t.elements() == 1) as.clear();
  if (!broadcasts_to(as, result))
    return invalid(node, "a scale that fits " + to_string(result), to_string(t.shape()));
  const std::vector<double> given = to_doubles(t);
  std::vector<double> scales(static_cast<size_t>(elements_of(result)));
  walk<1>(result, {broadcast_strides(as, result)}, [&](int64_t i, const auto& at) {
    scales[static_cast<size_t>(i)] = given[static_cast<size_t>(at[0])];
  });
  return scales;
}

struct IntegerConv {
  ConvGeometry geometry;
  std::vector<int32_t> x, w;
};

Result<IntegerConv> integer_conv(const ir::Node& node, const Tensor& x, const Tensor* x_zero, const Tensor& w,
                                 const Tensor* w_zero, const Tensor* bias) {
  IntegerConv c;
  if (x_zero != nullptr && x_zero->elements() != 1)
    return invalid(node, "one zero point for x", to_string(x_zero->shape()));
  NARROW_TRY(c.geometry, conv_geometry(node, x.shape(), w.shape(), bias));
  NARROW_TRY(c.x, centred(node, x, x_zero, {}));
  NARROW_TRY(c.w, centred(node, w, w_zero, along_first(w.shape())));
  return c;
}

struct IntegerProduct {
  Product product;
  std::vector<int32_t> a, b;
};

Result<IntegerProduct> integer_product(const ir::Node& node, const Tensor& a, const Tensor* a_zero,
                                       const Tensor& b, const Tensor* b_zero) {
  IntegerProduct p;
  NARROW_TRY(p.product, product_of(node, a.shape(), b.shape()));
  NARROW_TRY(p.a, centred(node, a, a_zero, row_parameter(a_zero)));
  NARROW_TRY(p.b, centred(node, b, b_zero, column_parameter(b_zero)));
  return p;
}

}  // namespace

Outputs eval_conv_integer(const ir::Node& node, Inputs inputs) {
  NARROW_TRY(const IntegerConv c, integer_conv(node, *inputs[0], optional_input(inputs, 2), *inputs[1],
                                               optional_input(inputs, 3), nullptr));
  const ConvGeometry& g = c.geometry;
  NARROW_TRY(Tensor y, make_tensor(node, DType::s32, g.output_shape()));
  convolve<int64_t>(g, c.x.data(), c.w.data(), [&](int64_t n, int64_t o, const int64_t* acc) {
    std::transform(acc, acc + g.window.out_size(),
                   y.mutable_data<int32_t>().data() + (n * g.oc + o) * g.window.out_size(), narrow32);
  });
  return one(std::move(y));
}

Outputs eval_matmul_integer(const ir::Node& node, Inputs inputs) {
  NARROW_TRY(const IntegerProduct p, integer_product(node, *inputs[0], optional_input(inputs, 2), *inputs[1],
                                                     optional_input(inputs, 3)));
  NARROW_TRY(Tensor y, make_tensor(node, DType::s32, p.product.result));
  multiply<int64_t>(p.product, p.a.data(), p.b.data(), [&](int64_t row, const int64_t* acc) {
    std::transform(acc, acc + p.product.n, y.mutable_data<int32_t>().data() + row * p.product.n, narrow32);
  });
  return one(std::move(y));
}

/// x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero, B?  y = requantize(acc + B, x_scale * w_scale[o]
/// / y_scale)
Outputs eval_qlinear_conv(const ir::Node& node, Inputs inputs) {
  const Tensor* bias = optional_input(inputs, 8);
  if (bias != nullptr && bias->dtype() != DType::s32) return wrong_type(node, bias->dtype());
  NARROW_TRY(const IntegerConv c, integer_conv(node, *inputs[0], inputs[2], *inputs[3], inputs[5], bias));
  const ConvGeometry& g = c.geometry;
  NARROW_TRY(const double x_scale, scale_of(node, inputs[1]));
  NARROW_TRY(const std::vector<double> w_scales, channel_scales(node, *inputs[4], g.oc));
  NARROW_TRY(const double y_scale, scale_of(node, inputs[6]));
  NARROW_TRY(const int32_t y_zero, zero_point_of(node, inputs[7]));
  NARROW_TRY(const IntegerRange range, range_of(node, inputs[7]->dtype()));
  const Shape shape = g.output_shape();
  NARROW_DO(make_tensor(node, DType::s32, shape));
  std::vector<int32_t> y(static_cast<size_t>(elements_of(shape)));
  convolve<int64_t>(g, c.x.data(), c.w.data(), [&](int64_t n, int64_t o, const int64_t* acc) {
    const int64_t b = bias != nullptr ? bias->data<int32_t>()[static_cast<size_t>(o)] : 0;
    const auto multiplier = static_cast<float>(x_scale * w_scales[static_cast<size_t>(o)] / y_scale);
    int32_t* to = y.data() + (n * g.oc + o) * g.window.out_size();
    for (int64_t i = 0; i < g.window.out_size(); ++i)
      to[i] = kernels::requantize(narrow32(acc[i] + b), multiplier, y_zero, range.low, range.high);
  });
  return one(to_integer_tensor(inputs[7]->dtype(), shape, y));
}

/// a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero
Outputs eval_qlinear_matmul(const ir::Node& node, Inputs inputs) {
  NARROW_TRY(const IntegerProduct p, integer_product(node, *inputs[0], inputs[2], *inputs[3], inputs[5]));
  const Shape& shape = p.product.result;
  NARROW_DO(make_tensor(node, DType::f64, shape));
  NARROW_TRY(const std::vector<double> a_scale,
             spread_scale(node, *inputs[1], row_parameter(inputs[1]), shape));
  NARROW_TRY(const std::vector<double> b_scale,
             spread_scale(node, *inputs[4], column_parameter(inputs[4]), shape));
  NARROW_TRY(const std::vector<double> y_scale,
             spread_scale(node, *inputs[6], row_parameter(inputs[6]), shape));
  NARROW_TRY(const std::vector<double> y_zero,
             spread_scale(node, *inputs[7], row_parameter(inputs[7]), shape));
  NARROW_TRY(const IntegerRange range, range_of(node, inputs[7]->dtype()));
  std::vector<int32_t> y(static_cast<size_t>(elements_of(shape)));
  multiply<int64_t>(p.product, p.a.data(), p.b.data(), [&](int64_t row, const int64_t* acc) {
    for (int64_t j = 0; j < p.product.n; ++j) {
      const auto i = static_cast<size_t>(row * p.product.n + j);
      const auto multiplier = static_cast<float>(a_scale[i] * b_scale[i] / y_scale[i]);
      y[i] = kernels::requantize(narrow32(acc[j]), multiplier, static_cast<int32_t>(y_zero[i]), range.low,
                                 range.high);
    }
  });
  return one(to_integer_tensor(inputs[7]->dtype(), shape, y));
}

/// com.microsoft: A, a_scale, a_zero, B, b_scale, b_zero, C?, y_scale?, y_zero?  With y_scale and y_zero the
/// result is quantized, else float.  C is s32 in units of alpha * a_scale * b_scale; b_scale and b_zero may
/// be one per column.
Outputs eval_qgemm(const ir::Node& node, Inputs inputs) {
  if (inputs[0]->rank() != 2 || inputs[3]->rank() != 2)
    return invalid(node, "matrices", to_string(inputs[0]->shape()));
  const std::vector<int64_t> swap = {1, 0}, keep = {0, 1};
  NARROW_TRY(const Tensor a, permute(node, *inputs[0], node.int_attr("transA", 0) != 0 ? swap : keep));
  NARROW_TRY(const Tensor b, permute(node, *inputs[3], node.int_attr("transB", 0) != 0 ? swap : keep));
  NARROW_TRY(const IntegerProduct p, integer_product(node, a, inputs[2], b, inputs[5]));
  const Shape& shape = p.product.result;
  NARROW_TRY(const double a_scale, scale_of(node, inputs[1]));
  NARROW_TRY(const std::vector<double> b_scales, channel_scales(node, *inputs[4], p.product.n));
  const Tensor *c = optional_input(inputs, 6), *y_scale = optional_input(inputs, 7),
               *y_zero = optional_input(inputs, 8);
  if (c != nullptr && (c->dtype() != DType::s32 || !broadcasts_to(c->shape(), shape)))
    return invalid(node, "C in s32 that broadcasts to " + to_string(shape), to_string(c->shape()));
  const std::vector<int64_t> strides = c != nullptr ? broadcast_strides(c->shape(), shape) : Shape{0, 0};
  NARROW_TRY(const double out_scale, scale_of(node, y_scale));
  NARROW_TRY(const int32_t out_zero, zero_point_of(node, y_zero));
  const IntegerRange range = y_zero != nullptr && y_zero->dtype() == DType::s8 ? kRangeS8 : kRangeU8;
  NARROW_TRY(Tensor y, make_tensor(node, DType::f32, shape));
  std::vector<int32_t> integers(static_cast<size_t>(y.elements()));
  const double alpha = static_cast<double>(node.float_attr("alpha", 1));
  multiply<int64_t>(p.product, p.a.data(), p.b.data(), [&](int64_t row, const int64_t* acc) {
    for (int64_t j = 0; j < p.product.n; ++j) {
      const auto i = static_cast<size_t>(row * p.product.n + j);
      const int64_t bias =
          c != nullptr ? c->data<int32_t>()[static_cast<size_t>(row * strides[0] + j * strides[1])] : 0;
      const int32_t sum = narrow32(acc[j] + bias);
      const double scale = alpha * a_scale * b_scales[static_cast<size_t>(j)];
      if (y_scale == nullptr)
        y.mutable_data<float>()[i] = static_cast<float>(sum * scale);
      else
        integers[i] =
            kernels::requantize(sum, static_cast<float>(scale / out_scale), out_zero, range.low, range.high);
    }
  });
  if (y_scale == nullptr) return one(std::move(y));
  return one(to_integer_tensor(y_zero != nullptr ? y_zero->dtype() : DType::u8, shape, integers));
}

}  // namespace narrow::runtime::reference
