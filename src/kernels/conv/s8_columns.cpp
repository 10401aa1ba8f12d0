#include "kernels/conv/s8_columns.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "kernels/conv/conv_clamp.h"

namespace narrow::kernels {
namespace {

constexpr int64_t kMaxDepth = 65793;  // 255 * 128 * K < 2^31

bool zero_point_fits(DType type, const TensorQuant& quant) {
  if (!is_int8(type)) return true;
  const int32_t low = type == DType::u8 ? 0 : -128;
  return quant.zero_point >= low && quant.zero_point <= low + 255;
}

/// Whether no value, in units of dst's scale, can leave the range of int32: the conversion would not
/// saturate.
bool fits_int32(const S8Finish& f, const S8Columns& columns) {
  const double scale = *std::max_element(f.scale, f.scale + columns.count());
  const double residual = f.residual_type == DType::undefined ? 0 : 255.0 * f.residual_scale;
  const double bound = (columns.largest_sum() * scale + residual) * f.inverse_out_scale;
  return *std::min_element(f.scale, f.scale + columns.count()) >= 0 && bound >= 0 && bound < 0x1.ffp30;
}

}  // namespace

AlignedBuffer s8_column_sums(const ConvSpec& spec, const int8_t* weights, const S8Places& places) {
  const ConvShape& s = spec.shape;
  const int64_t depth = s.c / s.groups * s.kh * s.kw;
  AlignedBuffer sums = AlignedBuffer::zeroed(places.columns() * 8);
  for (int64_t o = 0; o < s.oc; ++o) {
    int32_t sum = 0, magnitude = 0;
    for (int64_t i = 0; i < depth; ++i) {
      sum += weights[o * depth + i];
      magnitude += std::abs(int32_t{weights[o * depth + i]});
    }
    sums.as<int32_t>()[places.of(o)] = sum;
    sums.as<int32_t>()[places.columns() + places.of(o)] = magnitude;
  }
  return sums;
}

S8Columns::S8Columns(const ConvSpec& spec, const int32_t* bias, const int32_t* sums, const S8Places& places,
                     bool shifts_signed)
    : count_(places.columns()), columns_(AlignedBuffer::zeroed(count_ * 20)) {
  const int64_t zero = spec.src_quant.zero_point + (shifts_signed && spec.src == DType::s8 ? 128 : 0);
  auto* ints = columns_.as<int32_t>();
  auto* floats = columns_.as<float>();
  for (int64_t o = 0; o < spec.shape.oc; ++o) {
    const int64_t at = places.of(o);
    const int64_t own = bias != nullptr ? bias[o] : 0, sum = sums[at];
    const float w_scale = spec.weight_scale[spec.weight_scale.size() == 1 ? 0 : static_cast<size_t>(o)];
    const float factor =
        requantize_factor(static_cast<double>(spec.src_quant.scale) * w_scale / spec.dst_scale(o));
    const auto start = static_cast<uint32_t>(static_cast<uint64_t>(own - zero * sum));
    ints[at] = static_cast<int32_t>(start);
    floats[count_ + at] = spec.src_quant.scale * w_scale;
    floats[2 * count_ + at] = factor;
    ints[3 * count_ + at] = static_cast<int32_t>(start + uint32_t{kSumsOnFloat});
    floats[4 * count_ + at] = -0x1.8p23F * factor;
    most_ = std::max(most_, std::abs(own) + 255 * int64_t{sums[count_ + at]});
  }
}

S8Finish s8_finish_of(const ConvSpec& spec, const S8Columns& columns, bool on_float) {
  const bool one_factor = is_one_factor(spec);
  const bool bounds_only = (is_int8(spec.dst) && spec.activation.is_clamp()) || spec.function != nullptr;
  S8Finish f{};
  f.dst_type = spec.dst;
  f.residual_type = spec.residual;
  f.activation = bounds_only ? Activation{} : spec.activation;
  f.function = spec.function.get();
  f.scale = one_factor ? columns.multiplier() : columns.scale();
  f.inverse_out_scale = one_factor ? 1.0F : 1.0F / spec.dst_quant.scale;
  f.out_zero = factor_zero(spec);
  const IntegerBounds bounds = factor_bounds(spec);
  f.low = bounds.low;
  f.high = bounds.high;
  f.residual_scale = one_factor ? residual_multiplier(spec) : spec.residual_quant.scale;
  f.residual_zero = spec.residual_quant.zero_point;
  f.stays_in_bytes = one_factor && fits_int32(f, columns);
  f.bias = columns.bias();
  f.on_float = on_float && f.stays_in_bytes && columns.sums_fit_float();
  f.start = f.on_float ? columns.on_float() : columns.bias();
  f.back = columns.back();
  return f;
}

std::string s8_unsupported_shape(const ConvSpec& spec) {
  const ConvShape& s = spec.shape;
  if (spec.weights != DType::s8) return fmt::format("weights = {}: wants s8", to_string(spec.weights));
  if (std::min({s.c, s.oc, s.kh, s.kw, s.stride_h, s.stride_w, s.dilation_h, s.dilation_w}) < 1)
    return "channels, kernel, stride and dilation have to be positive";
  if (s.groups < 1 || s.c % s.groups != 0 || s.oc % s.groups != 0)
    return fmt::format("groups = {}: wants a divisor of {} and {}", s.groups, s.c, s.oc);
  if (s.kh * s.kw * (s.c / s.groups) > kMaxDepth)
    return fmt::format("{} products per sum: wants at most {}", s.kh * s.kw * (s.c / s.groups), kMaxDepth);
  return {};
}

std::string s8_unsupported(const ConvSpec& spec) {
  const auto stores = [](DType t) {
    return is_int8(t) || t == DType::f32 || t == DType::bf16 || t == DType::f16;
  };
  if (!is_int8(spec.src)) return fmt::format("src = {}: wants u8 or s8", to_string(spec.src));
  if (!stores(spec.dst)) return fmt::format("dst = {}: wants u8, s8, f32, bf16 or f16", to_string(spec.dst));
  if (spec.residual != DType::undefined && !stores(spec.residual))
    return fmt::format("residual = {}: wants u8, s8, f32, bf16 or f16", to_string(spec.residual));
  if (!zero_point_fits(spec.src, spec.src_quant) || !zero_point_fits(spec.dst, spec.dst_quant) ||
      !zero_point_fits(spec.residual, spec.residual_quant))
    return "a zero point is outside its type's range";
  if (std::string reason = s8_unsupported_shape(spec); !reason.empty()) return reason;
  if (spec.weight_scale.size() != 1 && static_cast<int64_t>(spec.weight_scale.size()) != spec.shape.oc)
    return fmt::format("{} weight scales: wants 1 or {}", spec.weight_scale.size(), spec.shape.oc);
  return unsupported_dst_scales(spec);
}

}  // namespace narrow::kernels
