#include "quant/groups.h"

#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

#include "base/result.h"
#include "numerics/fp16.h"
#include "numerics/ternary.h"
#include "quant/code_levels.h"
#include "quant/group_elements.h"
#include "quant/three_codes.h"
#include "quant/weights.h"

namespace narrow::quant {
namespace {

/// One group's parameters and what they cost.
struct Fit {
  float scale = 1;
  int zero_point = 0;
  double error = 0;
};

class GroupFitter {
 public:
  GroupFitter(const GroupOptions& options, bool half_scales)
      : levels_(code_levels(options)),
        symmetric_(options.symmetric),
        ternary_(options.set == CodeSet::ternary),
        half_scales_(half_scales) {}

  Fit fit(std::span<const float> x) {
    const auto [least, most] = std::minmax_element(x.begin(), x.end());
    const float low = std::min(*least, 0.0F), high = std::max(*most, 0.0F);
    if (low == high) return {levels_.stride == 2 ? stored(kNothing) : 1.0F, 0, 0};
    if (ternary_) return {stored(scale_of_three_codes(x)), 0, 0};
    Fit best = evaluate(x, candidate(low, high, 1.0F));
    for (int percent = 96; percent >= 60; percent -= 4) {
      const Fit shrunk = evaluate(x, candidate(low, high, static_cast<float>(percent) / 100));
      if (shrunk.error < best.error) best = shrunk;
    }
    for (int round = 0; round < 3; ++round) {
      const Fit refined = evaluate(x, refit(x, best));
      if (!(refined.error < best.error)) break;
      best = refined;
    }
    return best;
  }

 private:
  static constexpr float kNothing = 1e-30F;  // where zeros must be plus or minus something

  float stored(float scale) const { return half_scales_ ? half_scale(scale) : scale; }

  Fit candidate(float low, float high, float share) const {
    if (symmetric_) {
      const float reach =
          high >= -low ? high / static_cast<float>(levels_.high) : -low / static_cast<float>(-levels_.low);
      return {stored(share * reach), 0, 0};
    }
    const float scale = stored(share * (high - low) / static_cast<float>(levels_.high));
    return {scale, std::clamp(static_cast<int>(std::lround(-share * low / scale)), 0, levels_.high), 0};
  }

  Fit evaluate(std::span<const float> x, Fit f) const {
    f.error = 0;
    for (const float v : x) {
      const float back =
          static_cast<float>(code_of(v, {f.scale, f.zero_point}, levels_) - f.zero_point) * f.scale;
      f.error += static_cast<double>(v - back) * static_cast<double>(v - back);
    }
    return f;
  }

  Fit refit(std::span<const float> x, const Fit& f) const {
    double product = 0, square = 0;
    for (const float v : x) {
      const double q = code_of(v, {f.scale, f.zero_point}, levels_) - f.zero_point;
      product += static_cast<double>(v) * q;
      square += q * q;
    }
    if (!(product > 0) || square == 0) return f;
    return {stored(static_cast<float>(product / square)), f.zero_point, 0};
  }

  CodeLevels levels_;
  bool symmetric_, ternary_;
  bool half_scales_;
};

/// 1 at these places; empty without any.
std::vector<uint8_t> flags_of(std::span<const int64_t> places, int64_t elements) {
  std::vector<uint8_t> flags(places.empty() ? 0 : static_cast<size_t>(elements), 0);
  for (const int64_t place : places) flags[static_cast<size_t>(place)] = 1;
  return flags;
}

/// (code - zero_point) * scale.
Tensor dequantize_codes(const GroupedWeights& w) {
  const std::vector<float> codes = to_floats(w.codes), scale = to_floats(w.scale),
                           zero = !w.zero_point.defined() ? std::vector<float>(scale.size(), 0.0F)
                                                          : to_floats(w.zero_point);
  const GroupElements at(w.codes.shape(), w.axis, w.group_size);
  Tensor out = Tensor::allocate(DType::f32, w.codes.shape());
  const auto y = out.mutable_data<float>();
  std::vector<size_t> elements;
  for (int64_t g = 0; g < at.count(); ++g) {
    at.list(g, elements);
    const auto parameters = static_cast<size_t>(g);
    for (const size_t i : elements) y[i] = (codes[i] - zero[parameters]) * scale[parameters];
  }
  return out;
}

/// Codes, FP32 scales and zero points yet to be written.
GroupedWeights unfilled_groups(const Shape& shape, int64_t axis, const GroupOptions& options) {
  const DType type = options.bits == 8 ? DType::s8 : options.symmetric ? DType::s4 : DType::u4;
  Shape groups = shape;
  const int64_t along_axis = GroupElements(shape, axis, options.group_size).along_axis();
  groups[static_cast<size_t>(axis)] = along_axis;
  if (options.group_size == 0) groups = {along_axis};
  return {.codes = Tensor::allocate(type, shape),
          .scale = Tensor::allocate(DType::f32, groups),
          .zero_point = options.symmetric ? Tensor() : Tensor::allocate(type, groups),
          .axis = axis,
          .group_size = options.group_size,
          .bits = options.bits,
          .set = options.set};
}

/// What stands apart gets the number that its code leaves of the weight.
void set_apart(std::span<const float> weights, GroupedWeights& w) {
  if (w.apart.count() == 0) return;
  const Tensor codes = dequantize_codes(w);
  const auto back = codes.data<float>();
  auto* values = static_cast<f16*>(w.apart.values.mutable_raw());
  for (const int64_t place : w.apart.places()) {
    const auto at = static_cast<size_t>(place);
    *values++ = f16(half_number(weights[at] - back[at]));
  }
}

}  // namespace

bool scales_fit_half(const Tensor& weights) {
  constexpr float kLargest = 65504.0F;
  const auto values = weights.data<float>();
  return std::all_of(values.begin(), values.end(), [](float x) { return std::fabs(x) < kLargest; });
}

ScaleFit fit_group(std::span<const float> group, const GroupOptions& options, bool half_scales) {
  const Fit fit = GroupFitter(options, half_scales).fit(group);
  return {fit.scale, fit.zero_point};
}

float half_scale(float scale) {
  constexpr float kLeast = 6.103515625e-05F;
  return static_cast<float>(f16(std::max(scale, kLeast)));
}

GroupOptions options_of(const GroupedWeights& weights) {
  return {.bits = weights.bits,
          .group_size = weights.group_size,
          .symmetric = !weights.zero_point.defined(),
          .f32_scales = weights.scale.dtype() == DType::f32,
          .set = weights.set};
}

int64_t GroupedWeights::stored_bits() const {
  const int64_t zeros = zero_point.defined() ? zero_point.elements() : 0, count = codes.elements(),
                beside = scale.elements() * bits_of(scale.dtype()) + apart.stored_bits();
  if (set == CodeSet::ternary) return 8 * ternary_bytes(count) + beside;
  if (set == CodeSet::binary) return count + beside;
  return (count + zeros) * bits + beside;
}

double GroupedWeights::bits_per_weight() const {
  return codes.elements() == 0 ? 0
                               : static_cast<double>(stored_bits()) / static_cast<double>(codes.elements());
}

GroupedWeights quantize_groups(const Tensor& weights, int64_t axis, const GroupOptions& options,
                               const GroupFit& fit, std::span<const int64_t> apart) {
  const bool two_sided = options.bits == 8 || options.set != CodeSet::integers;
  NARROW_CHECK(options.bits >= 2 && (options.bits <= 4 || options.bits == 8) && options.group_size >= 0);
  NARROW_CHECK(options.symmetric || !two_sided);
  const GroupElements at(weights.shape(), axis, options.group_size);
  const bool half_scales = !options.f32_scales && scales_fit_half(weights);
  const CodeLevels levels = code_levels(options);
  GroupedWeights out = unfilled_groups(weights.shape(), axis, options);
  const auto x = weights.data<float>();
  auto* q = static_cast<uint8_t*>(out.codes.mutable_raw());
  const std::vector<uint8_t> is_apart = flags_of(apart, weights.elements());
  std::vector<float> group;
  std::vector<size_t> elements;
  for (int64_t g = 0; g < at.count(); ++g) {
    at.list(g, elements);
    group.clear();
    for (const size_t i : elements)
      if (is_apart.empty() || is_apart[i] == 0) group.push_back(x[i]);
    if (group.empty()) group.push_back(0.0F);  // all of them stand apart
    const ScaleFit found = fit(group, options, half_scales);
    out.scale.mutable_data<float>()[static_cast<size_t>(g)] = found.scale;
    if (!options.symmetric)
      static_cast<uint8_t*>(out.zero_point.mutable_raw())[g] = static_cast<uint8_t>(found.zero_point);
    for (const size_t i : elements)
      q[i] = static_cast<uint8_t>(is_apart.empty() || is_apart[i] == 0 ? code_of(x[i], found, levels)
                                                                       : code_apart(x[i], found, options));
  }
  if (half_scales) out.scale = cast(out.scale, DType::f16);
  out.apart = make_apart(apart);
  set_apart(x, out);
  return out;
}

GroupedWeights refit_groups(const Tensor& weights, const GroupedWeights& like, const GroupFit& fit) {
  return quantize_groups(weights, like.axis, options_of(like), fit, like.apart.places());
}

GroupedWeights quantize_per_channel(const Tensor& weights, int64_t axis) {
  const Quantization quant = weight_scales(weights, axis);
  return {.codes = quantize_weights(weights, quant),
          .scale = Tensor::of(Shape{static_cast<int64_t>(quant.scale.size())}, quant.scale),
          .zero_point = {},
          .axis = axis,
          .group_size = 0,
          .bits = 8};
}

int code_apart(float weight, const ScaleFit& fit, const GroupOptions& options) {
  return options.set == CodeSet::binary ? code_of(weight, fit, code_levels(options)) : fit.zero_point;
}

Tensor dequantize_groups(const GroupedWeights& w) {
  Tensor out = dequantize_codes(w);
  if (w.apart.count() == 0) return out;
  const auto y = out.mutable_data<float>();
  const auto* values = static_cast<const f16*>(w.apart.values.raw());
  for (const int64_t place : w.apart.places()) y[static_cast<size_t>(place)] += static_cast<float>(*values++);
  return out;
}

}  // namespace narrow::quant
