// Eight lanes of FP32 of which some are live. Only for files compiled for AVX2; everything is local to the
// file that includes it, so that no copy is shared with code for lesser machines.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace narrow::kernels {
namespace {

/// All ones in the first n of eight lanes.
inline __attribute__((always_inline)) __m256i first_lanes8(int64_t n) {
  const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n < 8 ? n : 8)), lane);
}

}  // namespace
}  // namespace narrow::kernels
