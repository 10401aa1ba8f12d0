// From a distribution to the range that integers will span: the calibration methods.
#pragma once

#include <optional>
#include <string_view>

#include "calib/histogram.h"

namespace narrow::calib {

enum class Method : uint8_t { minmax, percentile, mse, entropy, moving_average, automatic, output_error };

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
///             (none for exact zeros), kClipWeight times the squared distance for values cut. Both ends are
///             searched.
/// moving-average  the mean of the batches' minima and maxima, the last hundred or so weighing most
/// (profile.h).
/// auto        for each value, the one of the others whose range disturbs the model's outputs least
/// (choose_methods.h).
/// output-error  for each value, the range that errs least in what the layers behind it answer
/// (quant/choose_ranges.h).
/// entropy     the range whose quantized histogram has the least Kullback-Leibler divergence from the
/// original, values
///             cut counted into the outermost bins (Migacz, "8-bit inference with TensorRT", GTC 2017).
/// The range always holds 0 and lies inside [min, max]. An empty histogram gives [0, 0]. moving_average,
/// automatic and output_error need more than a histogram: range_of() of profile.h.
Range choose_range(const Histogram& histogram, const RangeOptions& options);

/// A layer sums many values. Rounding errors have either sign and partly cancel; the clipping errors of a
/// channel all have one. Weights 1, 2, 4, 10 gave, with int8: agreement of squeezenet1.1 96.3, 96.6, 98.3,
/// 97.4 %, F1 of fastestdet 0.966, 0.989, 0.972, 0.978, perplexity of stories260K 5.817, 5.820, 5.825, 5.839.
constexpr double kClipWeight = 2;

/// Mean squared error of values quantized over a range: of those inside it, and of those beyond.
struct SquaredError {
  double rounded = 0, clipped = 0;
  double sum() const { return rounded + clipped; }
  double weighted() const { return rounded + kClipWeight * clipped; }  // what `mse` minimises
};
SquaredError expected_squared_error(const Histogram& histogram, Range range, int64_t levels);

}  // namespace narrow::calib
