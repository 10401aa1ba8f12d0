#include "quant/groups.h"

#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

#include "base/result.h"
#include "numerics/ternary.h"
#include "quant/code_levels.h"
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

/// Weights as [outer, axis, inner] with groups along the axis, or with all of an index of it in one.
struct Geometry {
  int64_t outer, extent, inner, group, groups;

  Geometry(const Shape& shape, int64_t axis, int64_t group_size)
      : outer(elements_of(Shape(shape.begin(), shape.begin() + axis))),
        extent(shape[static_cast<size_t>(axis)]),
        inner(elements_of(Shape(shape.begin() + axis + 1, shape.end()))),
        group(group_size),
        groups(group_size == 0 ? extent : (extent + group_size - 1) / group_size) {}

  /// visit(index of the group's parameters, its elements)
  template <class Visit>
  void for_groups(Visit visit) const {
    std::vector<size_t> elements;
    if (group == 0) {
      for (int64_t channel = 0; channel < extent; ++channel) {
        elements.clear();
        for (int64_t o = 0; o < outer; ++o)
          for (int64_t i = 0; i < inner; ++i)
            elements.push_back(static_cast<size_t>((o * extent + channel) * inner + i));
        visit(static_cast<size_t>(channel), elements);
      }
      return;
    }
    for (int64_t o = 0; o < outer; ++o)
      for (int64_t g = 0; g < groups; ++g)
        for (int64_t i = 0; i < inner; ++i) {
          elements.clear();
          for (int64_t k = g * group; k < std::min(extent, (g + 1) * group); ++k)
            elements.push_back(static_cast<size_t>((o * extent + k) * inner + i));
          visit(static_cast<size_t>((o * groups + g) * inner + i), elements);
        }
  }
};

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
  const int64_t zeros = zero_point.defined() ? zero_point.elements() : 0, count = codes.elements();
  if (set == CodeSet::ternary) return 8 * ternary_bytes(count) + scale.elements() * bits_of(scale.dtype());
  if (set == CodeSet::binary) return count + scale.elements() * bits_of(scale.dtype());
  return (count + zeros) * bits + scale.elements() * bits_of(scale.dtype());
}

double GroupedWeights::bits_per_weight() const {
  return codes.elements() == 0 ? 0
                               : static_cast<double>(stored_bits()) / static_cast<double>(codes.elements());
}

GroupedWeights quantize_groups(const Tensor& weights, int64_t axis, const GroupOptions& options,
                               const GroupFit& fit) {
  const bool two_sided = options.bits == 8 || options.set != CodeSet::integers;
  NARROW_CHECK(options.bits >= 2 && (options.bits <= 4 || options.bits == 8) && options.group_size >= 0);
  NARROW_CHECK(options.symmetric || !two_sided);
  const Geometry at(weights.shape(), axis, options.group_size);
  const bool half_scales = !options.f32_scales && scales_fit_half(weights);
  const CodeLevels levels = code_levels(options);
  const DType type = options.bits == 8 ? DType::s8 : options.symmetric ? DType::s4 : DType::u4;
  Shape groups = weights.shape();
  groups[static_cast<size_t>(axis)] = at.groups;
  if (options.group_size == 0) groups = {at.groups};
  Tensor codes = Tensor::allocate(type, weights.shape());
  Tensor scale = Tensor::allocate(DType::f32, groups);
  Tensor zero_point = options.symmetric ? Tensor() : Tensor::allocate(type, groups);
  const auto x = weights.data<float>();
  auto* q = static_cast<uint8_t*>(codes.mutable_raw());
  std::vector<float> group;
  at.for_groups([&](size_t parameters, const std::vector<size_t>& elements) {
    group.clear();
    for (const size_t i : elements) group.push_back(x[i]);
    const ScaleFit found = fit(group, options, half_scales);
    scale.mutable_data<float>()[parameters] = found.scale;
    if (!options.symmetric)
      static_cast<uint8_t*>(zero_point.mutable_raw())[parameters] = static_cast<uint8_t>(found.zero_point);
    for (const size_t i : elements) q[i] = static_cast<uint8_t>(code_of(x[i], found, levels));
  });
  return {.codes = std::move(codes),
          .scale = half_scales ? cast(scale, DType::f16) : std::move(scale),
          .zero_point = std::move(zero_point),
          .axis = axis,
          .group_size = options.group_size,
          .bits = options.bits,
          .set = options.set};
}

GroupedWeights refit_groups(const Tensor& weights, const GroupedWeights& like, const GroupFit& fit) {
  return quantize_groups(weights, like.axis, options_of(like), fit);
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

Tensor dequantize_groups(const GroupedWeights& w) {
  const std::vector<float> codes = to_floats(w.codes), scale = to_floats(w.scale),
                           zero = !w.zero_point.defined() ? std::vector<float>(scale.size(), 0.0F)
                                                          : to_floats(w.zero_point);
  const Geometry at(w.codes.shape(), w.axis, w.group_size);
  Tensor out = Tensor::allocate(DType::f32, w.codes.shape());
  const auto y = out.mutable_data<float>();
  at.for_groups([&](size_t parameters, const std::vector<size_t>& elements) {
    for (const size_t i : elements) y[i] = (codes[i] - zero[parameters]) * scale[parameters];
  });
  return out;
}

}  // namespace narrow::quant
