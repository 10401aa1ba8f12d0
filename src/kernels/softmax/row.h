// One row of softmax in FP32, per ISA. y may be x.
#pragma once

#include <cstdint>

namespace narrow::kernels {

void softmax_row_plain(const float* x, int64_t n, bool log, float* y);
void softmax_row_avx2(const float* x, int64_t n, bool log, float* y);
void softmax_row_avx512(const float* x, int64_t n, bool log, float* y);

}  // namespace narrow::kernels
