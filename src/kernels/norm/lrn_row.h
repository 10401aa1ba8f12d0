// A run of channels of a local response normalisation in FP32, per ISA.
#pragma once

#include <cstdint>

namespace narrow::kernels {

/// y[i] = x[i] * (bias + factor * (squares[i] + ... + squares[i + size - 1]))^-beta, i < n.
struct LrnRun {
  const float* x;
  const float* squares;  // n + size - 1; 16 more may be read
  float* y;              // may be x
  int64_t n, size;
  float bias, factor, beta;
};

/// The powers that roots give.
enum class LrnPower : uint8_t { half, three_quarters, one };
constexpr bool is_root(float beta) { return beta == 0.5F || beta == 0.75F || beta == 1; }
constexpr LrnPower lrn_power(float beta) {
  return beta == 0.5F ? LrnPower::half : beta == 0.75F ? LrnPower::three_quarters : LrnPower::one;
}

void lrn_run_plain(const LrnRun& run);
/// is_root(beta).
void lrn_run_avx2(const LrnRun& run);
void lrn_run_avx512(const LrnRun& run);

/// squares[i] = x[i]^2 for i < n.
void square_run_plain(const float* x, int64_t n, float* squares);
void square_run_avx2(const float* x, int64_t n, float* squares);
void square_run_avx512(const float* x, int64_t n, float* squares);

}  // namespace narrow::kernels
