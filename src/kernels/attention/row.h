// One row of scores, per ISA:  s[j] = exp(scale * s[j] + mask[j] - max);  returns the sum of s.
#pragma once

#include <cstdint>

namespace narrow::kernels {

/// mask may be null. When no score is above -Inf all become 0, and so is the sum.
float attention_row_plain(float* s, int64_t n, float scale, const float* mask);
float attention_row_avx2(float* s, int64_t n, float scale, const float* mask);
float attention_row_avx512(float* s, int64_t n, float scale, const float* mask);

}  // namespace narrow::kernels
