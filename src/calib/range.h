// From a distribution to the range that integers will span: the calibration methods.
#pragma once

#include <optional>
#include <string_view>

#include "calib/histogram.h"

namespace narrow::calib {

enum class Method : uint8_t { minmax, percentile, mse, entropy };

const char* to_string(Method method);
std::optional<Method> parse_method(std::string_view name);

struct Range {
  float low = 0, high = 0;
};

struct RangeOptions {
  Method method = Method::mse;
  /// percentile: the share of values (in percent) kept, the rest cut equally on both sides.
  double percentile = 99.99;
  /// How many integers the range will be spread over.
  int64_t levels = 256;
};

/// minmax      all values fit.
/// percentile  the tails outside `percentile` are cut.
/// mse         the range with the least expected squared error: rounding error step^2 / 12 for values inside
/// (none for
///             exact zeros), squared distance for values cut. Both ends are searched.
/// entropy     the range whose quantized histogram has the least Kullback-Leibler divergence from the
/// original, values
///             cut counted into the outermost bins (Migacz, "8-bit inference with TensorRT", GTC 2017).
/// The range always holds 0 and lies inside [min, max]. An empty histogram gives [0, 0].
Range choose_range(const Histogram& histogram, const RangeOptions& options);

/// The error `mse` minimises: mean squared error of values of this histogram quantized over `range`.
double expected_squared_error(const Histogram& histogram, Range range, int64_t levels);

}  // namespace narrow::calib
