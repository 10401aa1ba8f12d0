// One row of a normalisation in FP32, per ISA.
#pragma once

#include <cstdint>

namespace narrow::kernels {

struct NormRow {
  const float* x;
  float* y;  // may be x
  int64_t n;
  const float *gamma, *beta;  // may be null
  float epsilon;
  bool rms;
};

void norm_row_plain(const NormRow& row);
void norm_row_avx2(const NormRow& row);
void norm_row_avx512(const NormRow& row);

}  // namespace narrow::kernels
