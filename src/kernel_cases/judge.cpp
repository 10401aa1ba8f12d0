#include "kernel_cases/judge.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "kernel_cases/data.h"
#include "kernels/lanes/element.h"

namespace narrow::kernel_cases {
namespace {

std::string place(const Output& output, int64_t element) {
  std::vector<int64_t> index(output.extents.size());
  for (size_t d = index.size(); d-- > 0;) {
    index[d] = element % output.extents[d];
    element /= output.extents[d];
  }
  return fmt::format("{}[{}]", output.name, fmt::join(index, ","));
}

/// What x becomes when it is stored: a float of the type, or the stored integer.
float stored(const kernels::Format& format, float x) {
  alignas(4) uint8_t element[4] = {};
  kernels::store_real(format, element, 0, x);
  if (is_int8(format.type)) return static_cast<float>(kernels::load_integer(format.type, element, 0));
  return kernels::load_real(format, element, 0);
}

float read(const kernels::Format& format, const uint8_t* data, int64_t i) {
  if (is_int8(format.type)) return static_cast<float>(kernels::load_integer(format.type, data, i));
  return kernels::load_real(format, data, i);
}

bool is_nan(DType type, const uint8_t* data, int64_t i) {
  if (type == DType::f64) return std::isnan(reinterpret_cast<const double*>(data)[i]);
  return is_float(type) && std::isnan(read({type, {}}, data, i));
}

struct Interval {
  float low, high;
  bool has(float x) const { return x >= low && x <= high; }
};

/// real +- bound as stored values. A scale so small that its inverse is Inf turns 0 into NaN and then into
/// the lowest value (kernels/requantize.h): both ends are then possible.
Interval allowed(const kernels::Format& format, float real, float bound) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  if (std::isinf(real)) bound = 0;  // the same infinity
  if (std::isnan(bound)) bound = kInf;
  const bool any = is_int8(format.type) && std::isinf(1.0F / format.quant.scale) && bound > 0;
  if (any) return {static_cast<float>(lowest(format.type)), static_cast<float>(highest(format.type))};
  const double low = static_cast<double>(real) - static_cast<double>(bound),
               high = static_cast<double>(real) + static_cast<double>(bound);
  const auto outwards = [&](double x, float to) {
    return bound > 0 ? std::nextafter(static_cast<float>(x), to) : static_cast<float>(x);
  };
  return {stored(format, outwards(low, -kInf)), stored(format, outwards(high, kInf))};
}

}  // namespace

std::optional<Mismatch> first_mismatch(const Output& o, const uint8_t* got, size_t accuracy) {
  if (o.real.empty()) return first_difference(o, o.want.data(), got);
  for (int64_t i = 0; i < o.count(); ++i) {
    const auto at = static_cast<size_t>(i);
    const float g = read(o.format, got, i), real = o.real[at], bound = o.bounds.at(accuracy)[at];
    if (std::isnan(real) && !is_int8(o.format.type)) {
      if (std::isnan(g)) continue;
      return Mismatch{i, place(o, i), "nan", element_text(o.format.type, got, i)};
    }
    const Interval interval = allowed(o.format, real, bound);
    if (interval.has(g)) continue;
    return Mismatch{i, place(o, i),
                    fmt::format("{} ({} to {})", element_text(o.format.type, o.want.data(), i), interval.low,
                                interval.high),
                    element_text(o.format.type, got, i)};
  }
  return std::nullopt;
}

std::optional<Mismatch> first_difference(const Output& o, const uint8_t* want, const uint8_t* got) {
  const int64_t width = bytes_of(o.format.type);
  if (o.count() == 0 || std::memcmp(want, got, static_cast<size_t>(o.bytes())) == 0) return std::nullopt;
  for (int64_t i = 0; i < o.count(); ++i) {
    if (std::memcmp(want + i * width, got + i * width, static_cast<size_t>(width)) == 0) continue;
    if (is_nan(o.format.type, want, i) && is_nan(o.format.type, got, i)) continue;
    return Mismatch{i, place(o, i), element_text(o.format.type, want, i),
                    element_text(o.format.type, got, i)};
  }
  return std::nullopt;
}

}  // namespace narrow::kernel_cases
