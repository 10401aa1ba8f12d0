// QuantizeLinear, DequantizeLinear, DynamicQuantizeLinear: per tensor, per axis, or in blocks.
#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "runtime/reference/functions.h"
#include "runtime/reference/quantized.h"

namespace narrow::runtime::reference {
namespace {

/// saturate(round_half_even(ratio) + zero_point); NaN gives the lowest.
int32_t saturate(double ratio, double zero_point, IntegerRange range) {
  const double q = std::nearbyint(ratio) + zero_point;
  if (!(q > range.low)) return range.low;
  return q >= range.high ? range.high : static_cast<int32_t>(q);
}

/// A float of at most 8 bits that values are quantized to; E8M0 holds scales only.
bool is_quantized_float(DType type) { return is_narrow_float(type) && type != DType::f8e8m0; }

Status check_quantized(const ir::Node& node, DType type) {
  if (is_quantized_float(type)) return {};
  NARROW_DO(range_of(node, type));
  return {};
}

/// Of that type, and one per scale or one for all.
bool fits(const Tensor& zero_point, DType type, const Tensor& scale) {
  return zero_point.dtype() == type && (zero_point.shape() == scale.shape() || zero_point.elements() == 1);
}

Result<DType> stated_type(const ir::Node& node, const char* attr, DType otherwise) {
  const int64_t stated = node.int_attr(attr, 0);
  if (stated == 0) return otherwise;
  return onnx_dtype(node, stated);
}

}  // namespace

/// The division happens in float, or in the attribute `precision`.
Outputs eval_quantize_linear(const ir::Node& node, Inputs inputs) {
  const Tensor &x = *inputs[0], &scale = *inputs[1];
  const Tensor* zero_point = optional_input(inputs, 2);
  NARROW_TRY(const DType type,
             stated_type(node, "output_dtype", zero_point != nullptr ? zero_point->dtype() : DType::u8));
  NARROW_DO(check_quantized(node, type));
  if (zero_point != nullptr && !fits(*zero_point, type, scale))
    return invalid(node, "a zero point of the output's type and the scale's shape",
                   to_string(zero_point->shape()));
  NARROW_TRY(const DType precision, stated_type(node, "precision", DType::f32));
  const int64_t axis = node.int_attr("axis", 1), block = node.int_attr("block_size", 0);
  NARROW_TRY(const Spread scales, spread(node, &scale, x.shape(), axis, block));
  NARROW_TRY(const Spread zeros, spread(node, zero_point, x.shape(), axis, block));
  const std::vector<double> data = to_doubles(x);
  std::vector<double> ratios(data.size());
  const bool wide = precision == DType::f64 || x.dtype() == DType::f64;
  for (size_t i = 0; i < data.size(); ++i) {
    const double s = scales[static_cast<int64_t>(i)];
    ratios[i] = wide ? data[i] / s : static_cast<double>(static_cast<float>(data[i]) / static_cast<float>(s));
  }
  if (precision == DType::f16 || precision == DType::bf16)
    ratios = to_doubles(cast(Tensor::of(x.shape(), ratios), precision));
  if (is_quantized_float(type)) {
    for (size_t i = 0; i < ratios.size(); ++i) ratios[i] += zeros[static_cast<int64_t>(i)];
    const bool special = node.int_attr("saturate", 1) == 0;
    return one(cast(Tensor::of(x.shape(), ratios), type,
                    {.overflow = special ? Overflow::special : Overflow::saturate}));
  }
  NARROW_TRY(const IntegerRange range, range_of(node, type));
  std::vector<int32_t> integers(data.size());
  for (size_t i = 0; i < data.size(); ++i)
    integers[i] = saturate(ratios[i], zeros[static_cast<int64_t>(i)], range);
  return one(to_integer_tensor(type, x.shape(), integers));
}

Outputs eval_dequantize_linear(const ir::Node& node, Inputs inputs) {
  const Tensor &x = *inputs[0], &scale = *inputs[1];
  const Tensor* zero_point = optional_input(inputs, 2);
  NARROW_DO(check_quantized(node, x.dtype()));
  NARROW_TRY(const DType type, stated_type(node, "output_dtype", scale.dtype()));
  if (!is_float(type) || is_narrow(type)) return wrong_type(node, type);
  if (zero_point != nullptr && !fits(*zero_point, x.dtype(), scale))
    return invalid(node, "a zero point of the input's type and the scale's shape",
                   to_string(zero_point->shape()));
  const int64_t axis = node.int_attr("axis", 1), block = node.int_attr("block_size", 0);
  NARROW_TRY(const Spread scales, spread(node, &scale, x.shape(), axis, block));
  NARROW_TRY(const Spread zeros, spread(node, zero_point, x.shape(), axis, block));
  std::vector<double> data = to_doubles(x);
  for (size_t i = 0; i < data.size(); ++i) {
    const auto e = static_cast<int64_t>(i);
    data[i] = (data[i] - zeros[e]) * scales[e];  // exact in double; the cast rounds once
  }
  return one(cast(Tensor::of(x.shape(), data), type));
}

/// u8 with the range of x widened to hold 0:  scale = (max - min) / 255,  zero_point = round(-min / scale).
Outputs eval_dynamic_quantize_linear(const ir::Node& node, Inputs inputs) {
  const Tensor& x = *inputs[0];
  if (x.dtype() != DType::f32) return wrong_type(node, x.dtype());
  float low = 0, high = 0;
  for (const float v : x.data<float>()) low = std::min(low, v), high = std::max(high, v);
  const float scale = (high - low) / 255.0F;
  const int32_t zero_point = scale == 0 ? 0 : saturate(static_cast<double>(-low / scale), 0, kRangeU8);
  std::vector<int32_t> integers;
  integers.reserve(static_cast<size_t>(x.elements()));
  for (const float v : x.data<float>())
    integers.push_back(scale == 0 ? zero_point
                                  : saturate(static_cast<double>(v / scale), zero_point, kRangeU8));
  return std::vector<Tensor>{to_integer_tensor(DType::u8, x.shape(), integers), Tensor::scalar(scale),
                             Tensor::scalar(static_cast<uint8_t>(zero_point))};
}

Outputs eval_quantize_rows(const ir::Node& node, Inputs inputs) {
  const Tensor& x = *inputs[0];
  NARROW_TRY(const auto axes, normal_axes(node, {node.int_attr("axis", -1)}, x.rank()));
  Shape rows = x.shape();
  int64_t columns = 1;
  for (auto i = static_cast<size_t>(axes[0]); i < rows.size(); ++i) columns *= std::exchange(rows[i], 1);
  Tensor codes = Tensor::allocate(DType::u8, x.shape()), scale = Tensor::allocate(DType::f32, rows);
  for (int64_t r = 0; r < scale.elements(); ++r) {
    const auto row = x.data<float>().subspan(static_cast<size_t>(r * columns), static_cast<size_t>(columns));
    float largest = 0;
    for (const float v : row)
      largest = std::isfinite(v) && !std::isnan(largest) ? std::max(largest, std::fabs(v))
                                                         : std::numeric_limits<float>::quiet_NaN();
    const float s = std::isnan(largest) ? largest : std::max(largest * (1.0F / 127), 1e-30F);
    scale.mutable_data<float>()[static_cast<size_t>(r)] = s;
    for (size_t i = 0; i < row.size(); ++i)
      codes.mutable_data<uint8_t>()[static_cast<size_t>(r * columns) + i] =
          static_cast<uint8_t>(narrow::quantize(row[i], s, 128, kRangeU8));
  }
  return std::vector<Tensor>{std::move(codes), std::move(scale)};
}

Outputs eval_quantize_image(const ir::Node& node, Inputs inputs) {
  NARROW_TRY(const std::vector<Tensor> codes, eval_quantize_linear(node, inputs));
  const Shape& from = codes[0].shape();
  Tensor image = Tensor::allocate(codes[0].dtype(), {from[0], from[2], from[3], from[1]});
  const int64_t pixels = from[2] * from[3], channels = from[1];
  const auto* src = static_cast<const uint8_t*>(codes[0].raw());
  auto* dst = static_cast<uint8_t*>(image.mutable_raw());
  for (int64_t i = 0; i < codes[0].elements(); ++i) {
    const int64_t pixel = i % pixels, c = i / pixels % channels, n = i / pixels / channels;
    dst[(n * pixels + pixel) * channels + c] = src[i];
  }
  return std::vector<Tensor>{std::move(image)};
}

}  // namespace narrow::runtime::reference
