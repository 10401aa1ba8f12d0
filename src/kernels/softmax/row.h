// Rows of softmax in FP32, per ISA. y may be x.
#pragma once

#include <cstdint>

namespace narrow::kernels {

void softmax_row_plain(const float* x, int64_t n, bool log, float* y);
void softmax_row_avx2(const float* x, int64_t n, bool log, float* y);
void softmax_row_avx512(const float* x, int64_t n, bool log, float* y);

/// Most numbers of a row that goes beside others through a vector.
constexpr int64_t kSoftmaxNarrow = 8;
/// n <= kSoftmaxNarrow.
void softmax_rows_avx2(const float* x, int64_t rows, int64_t n, bool log, float* y);
void softmax_rows_avx512(const float* x, int64_t rows, int64_t n, bool log, float* y);

}  // namespace narrow::kernels
