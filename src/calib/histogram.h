// The distribution of one value over all samples, in constant memory.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace narrow::calib {

/// Of finite values; count 0: there were none.
struct Extremes {
  float min = 0, max = 0;
  int64_t count = 0;
};

/// kBins equal bins over [-limit, limit), limit a power of two. When a larger value comes the limit doubles
/// and bins merge in pairs, so the result depends on the data only, never on the order or the split into
/// batches.
class Histogram {
 public:
  static constexpr int64_t kBins = 4096;

  /// NaN and Inf are counted apart and do not enter the range. Gives the extremes of these values.
  Extremes add(std::span<const float> values);
  void merge(const Histogram& other);

  int64_t count() const { return count_; }  // finite values
  int64_t non_finite() const { return non_finite_; }
  bool has_nan() const { return has_nan_; }  // of this process's data; Inf alone may be a mask
  int64_t zeros() const { return zeros_; }   // exactly 0: they cost nothing under any scale
  float min() const { return min_; }         // 0 when nothing was added
  float max() const { return max_; }
  double limit() const { return limit_; }
  double bin_width() const { return 2 * limit_ / kBins; }
  double center(int64_t bin) const { return -limit_ + (static_cast<double>(bin) + 0.5) * bin_width(); }
  const std::vector<int64_t>& bins() const { return bins_; }  // empty before the first value

  Json to_json() const;  // lossless; runs of n empty bins are written as -n
  static Result<Histogram> from_json(const Json& json, const std::string& subject);

 private:
  void widen(float magnitude);
  std::vector<int64_t> bins_;
  double limit_ = 0;
  int64_t count_ = 0, non_finite_ = 0, zeros_ = 0;
  float min_ = 0, max_ = 0;
  bool has_nan_ = false;
};

}  // namespace narrow::calib
