// Whether two sets are the same pictures in other units: bytes beside 0..1, a mean that was forgotten, 1/255
// applied twice.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "calib/check/inputs.h"
#include "data/dataset.h"

namespace narrow::calib {

/// A way pixels 0..255 become numbers:  value = factor[c] * pixel - offset[c].
struct PixelScale {
  std::string text;  // "pixel / 255"
  std::vector<double> factor, offset;
};

/// Those in use, for this many channels, and what a description says with its parts left out.
std::vector<PixelScale> known_scales(size_t channels, const std::optional<data::PixelFormat>& description);

/// How evaluation = a * calibration + b misses, averaged over channels: the difference of means in units of
/// evaluation's deviation, plus the logarithm of the ratio of deviations.
double misfit(const std::vector<ChannelFacts>& calibration, const std::vector<ChannelFacts>& evaluation,
              const std::vector<double>& a, const std::vector<double>& b);

struct ScaleRelation {
  double misfit = 0;  // of the sets as they are
  double noise = 0;   // the most that dealing their samples out again gives
  bool is_off = false;
  /// Where it is: the pair of scales that explains it, or none and only a factor.
  std::string calibration, evaluation;
  double explained = 0;        // misfit that the explanation leaves
  double ends = 0;             // how far both sets' ends are from those of the explanation (span_misfit)
  std::vector<double> factor;  // evaluation's deviation / calibration's, per channel
};
/// Ten photos against twelve others of the same kind miss by 0.3; the mildest mistake met, a mean left out
/// with std applied, by 1.8.
constexpr double kMisfitLimit = 0.7;
/// Other content in the same units keeps the ends of its range: photos reach black and white. Another unit
/// moves them, by half of the wider range from 0..1 to -1..1.
constexpr double kSpanLimit = 0.2;
/// Few photos differ so much that dealing them out again hides another unit. Ends that are black and white of
/// two known units to so much of their width are no chance: a photo that misses one end by 12 of 255 fits no
/// more.
constexpr double kEndsLimit = 0.05;

ScaleRelation relate_scales(const InputFacts& calibration, const InputFacts& evaluation,
                            const std::optional<data::PixelFormat>& calibration_description,
                            const std::optional<data::PixelFormat>& evaluation_description,
                            uint64_t seed = 1);

/// What two descriptions of photos say differently, as "channels BGR against RGB"; empty when nothing.
std::vector<std::string> description_differences(const data::PixelFormat& calibration,
                                                 const data::PixelFormat& evaluation);

}  // namespace narrow::calib
