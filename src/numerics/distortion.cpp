#include "numerics/distortion.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace narrow {

void Distortion::add(std::span<const float> reference, std::span<const float> actual) {
  NARROW_CHECK(reference.size() == actual.size());
  for (size_t i = 0; i < reference.size(); ++i) {
    const double r = reference[i], a = actual[i], error = a - r;
    if (!std::isfinite(a) || !std::isfinite(r)) {
      ++non_finite_;
      continue;
    }
    reference_square_ += r * r;
    actual_square_ += a * a;
    product_ += r * a;
    error_square_ += error * error;
    error_sum_ += error;
    error_abs_ += std::fabs(error);
    max_abs_error_ = std::max(max_abs_error_, std::fabs(error));
    zeros_ += a == 0 ? 1 : 0;
  }
  count_ += static_cast<int64_t>(reference.size());
}

void Distortion::merge(const Distortion& other) {
  count_ += other.count_;
  zeros_ += other.zeros_;
  non_finite_ += other.non_finite_;
  reference_square_ += other.reference_square_;
  actual_square_ += other.actual_square_;
  product_ += other.product_;
  error_square_ += other.error_square_;
  error_sum_ += other.error_sum_;
  error_abs_ += other.error_abs_;
  max_abs_error_ = std::max(max_abs_error_, other.max_abs_error_);
}

double Distortion::sqnr_db() const {
  constexpr double kBest = 200;
  if (error_square_ == 0) return non_finite_ > 0 ? 0 : kBest;
  if (reference_square_ == 0) return 0;
  return std::min(kBest, 10 * std::log10(reference_square_ / error_square_));
}

double Distortion::cosine() const {
  if (reference_square_ == 0 && actual_square_ == 0) return non_finite_ > 0 ? 0 : 1;
  if (reference_square_ == 0 || actual_square_ == 0) return 0;
  return product_ / std::sqrt(reference_square_ * actual_square_);
}

double Distortion::mean_shift() const { return count_ == 0 ? 0 : error_sum_ / static_cast<double>(count_); }
double Distortion::mae() const { return count_ == 0 ? 0 : error_abs_ / static_cast<double>(count_); }
double Distortion::rmse() const { return std::sqrt(noise_power()); }
double Distortion::zero_share() const {
  return count_ == 0 ? 0 : static_cast<double>(zeros_) / static_cast<double>(count_);
}

}  // namespace narrow
