// What an int8 kernel keeps per output column beside the weights, and how its sums leave.
#pragma once

#include <cstdint>
#include <string>

#include "base/aligned.h"
#include "kernels/conv/conv.h"
#include "kernels/conv/s8_task.h"
#include "kernels/requantize.h"

namespace narrow::kernels {

/// Where an output's column is: groups of outputs, each padded to whole panels.
struct S8Places {
  int64_t groups = 1, outputs = 0, padded = 0;  // of a group
  int64_t columns() const { return groups * padded; }
  int64_t of(int64_t output) const { return output / outputs * padded + output % outputs; }
};

/// Of each column the sum of its weights and that of their magnitudes, int32 [2, columns]: all that is needed
/// of weights.
AlignedBuffer s8_column_sums(const ConvSpec& spec, const int8_t* weights, const S8Places& places);

/// Made at each start of column sums, scales and bias, per column (padded):
///   bias        bias - zero_point * sum(w), so that the raw source bytes can be summed; padding pixels hold
///   the zero
///               point. Computed modulo 2^32, as the sums are.
///   scale       x_scale * w_scale
///   multiplier  of x_scale * w_scale / out_scale: kernels/requantize.h
///   on_float, back: the bias on the bits of a float, and that float times -multiplier
class S8Columns {
 public:
  /// `sums`: s8_column_sums(). shifts_signed: s8 sources are read as u8 with 128 added.
  S8Columns(const ConvSpec& spec, const int32_t* bias, const int32_t* sums, const S8Places& places,
            bool shifts_signed);
  int64_t bytes() const { return columns_.bytes(); }
  int64_t count() const { return count_; }

  const int32_t* bias() const { return columns_.as<int32_t>(); }
  const float* scale() const { return columns_.as<float>() + count_; }
  const float* multiplier() const { return scale() + count_; }
  const int32_t* on_float() const { return bias() + 3 * count_; }
  const float* back() const { return scale() + 3 * count_; }
  /// No sum can reach 2^22.
  bool sums_fit_float() const { return most_ < kMostOnFloat; }
  /// A bound of the magnitude of sums, which are taken modulo 2^32.
  double largest_sum() const { return most_ < int64_t{1} << 31 ? static_cast<double>(most_) : 0x1p31; }

 private:
  int64_t count_;
  int64_t most_ = 0;  // a bound of what sums may be, bias included
  AlignedBuffer columns_;
};

/// Everything but residual and dst. on_float: the kernel can begin sums on the bits of a float.
S8Finish s8_finish_of(const ConvSpec& spec, const S8Columns& columns, bool on_float);

/// Why weights and window are none of int8 kernels'; empty when they are.
std::string s8_unsupported_shape(const ConvSpec& spec);
/// The same of the whole spec.
std::string s8_unsupported(const ConvSpec& spec);

}  // namespace narrow::kernels
