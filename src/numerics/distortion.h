// How far an approximation is from its reference, accumulated in one pass (Welford-free sums in double).
#pragma once

#include <cstdint>
#include <span>

namespace narrow {

/// Figures of PRODUCT.md "Per layer, against FP32". Feed it pieces in any number; order of equal pieces is
/// fixed by the caller, so the result does not depend on threads.
class Distortion {
 public:
  void add(std::span<const float> reference, std::span<const float> actual);
  void merge(const Distortion& other);

  int64_t count() const { return count_; }
  /// 10 log10(sum ref^2 / sum (ref - actual)^2) in dB; 200 when equal (nothing is better than 200), 0 when
  /// the reference is all zero and the actual is not.
  double sqnr_db() const;
  double cosine() const;  // 1 when both are zero, 0 when nothing is finite
  double max_abs_error() const { return max_abs_error_; }
  double mean_shift() const;  // mean(actual - reference)
  double mae() const;
  double rmse() const;
  double zero_share() const;  // of the actual values
  double signal_power() const { return count_ == 0 ? 0 : reference_square_ / static_cast<double>(count_); }
  double noise_power() const { return count_ == 0 ? 0 : error_square_ / static_cast<double>(count_); }
  bool has_non_finite() const { return non_finite_ > 0; }

 private:
  int64_t count_ = 0, zeros_ = 0, non_finite_ = 0;
  double reference_square_ = 0, actual_square_ = 0, product_ = 0, error_square_ = 0, error_sum_ = 0,
         error_abs_ = 0;
  double max_abs_error_ = 0;
};

}  // namespace narrow
