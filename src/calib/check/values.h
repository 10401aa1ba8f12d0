// Calibration against evaluation, value by value.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "calib/check/samples.h"
#include "calib/range.h"

namespace narrow::calib {

enum class ValueVerdict : uint8_t { alike, shifted, differs, too_narrow, too_wide };
const char* to_string(ValueVerdict verdict);

/// "Calibration" and "evaluation" below are the two sets; docs/data-check.md explains every figure.
struct ValueComparison {
  std::string name, node;
  bool is_input = false, categorical = false;
  double psi = 0, ks = 0;  // of categories, ks is the largest difference of shares of parts counted together
  double psi_noise = 0, ks_noise = 0;  // the most that chance gives
  /// Of floats only.
  float calibration_min = 0, calibration_max = 0, evaluation_min = 0, evaluation_max = 0;
  Range range;                            // what calibration would choose
  double coverage = 1;                    // share of evaluation's [min, max] that calibration's covers
  int64_t samples_beyond = 0;             // evaluation samples that leave calibration's [min, max]
  double beyond_chance = 1;               // how probable so many are by chance, either end
  double clipped = 0;                     // share of evaluation's values outside `range`
  double clipped_calibration = 0;         // and of calibration's own
  double loss_db = 0, loss_noise_db = 0;  // what `range` costs evaluation against its own
  ValueVerdict verdict = ValueVerdict::alike;
};

/// The customary limits (Siddiqi, "Credit Risk Scorecards", 2006): below 0.1 nothing moved, above 0.25 the
/// distribution is another one.
constexpr double kPsiShifted = 0.1, kPsiDiffers = 0.25;
/// Half a bit: a value whose range costs more had better be calibrated on other samples.
constexpr double kLossLimitDb = 3;

/// Every value both sets have, inputs first, then in the order of the model. Deterministic for a seed.
std::vector<ValueComparison> compare_values(const SetSamples& calibration, const SetSamples& evaluation,
                                            const RangeOptions& ranges, ThreadPool& pool, uint64_t seed);

/// Beyond both the limit and what chance gives.
ValueVerdict judge(const ValueComparison& value);

}  // namespace narrow::calib
