// Softmax of rows of a few numbers, a vector of rows at a time: column j of kLanes rows is one vector. For
// files that have exp_below_zero() of an instruction set.
#pragma once

#include <math.h>

#include "kernels/softmax/row.h"

namespace narrow::kernels {
namespace {

/// Of kLanes columns' sums.
template <class V>
inline void log_lanes(float* sums) {
  for (int l = 0; l < V::kLanes; ++l) sums[l] = logf(sums[l]);
}

template <class V>
void softmax_narrow_rows(const float* x, int64_t rows, int64_t n, bool log, float* y) {
  using F = typename V::F;
  constexpr int64_t kLanes = V::kLanes;
  alignas(64) float columns[kSoftmaxNarrow * kLanes] = {}, sums[kLanes];
  for (int64_t first = 0; first < rows; first += kLanes, x += kLanes * n, y += kLanes * n) {
    const int64_t live = rows - first < kLanes ? rows - first : kLanes;
    for (int64_t r = 0; r < live; ++r)
      for (int64_t j = 0; j < n; ++j) columns[j * kLanes + r] = x[r * n + j];
    F largest = V::set1(-HUGE_VALF), sum = V::zero();
    for (int64_t j = 0; j < n; ++j)
      largest = V::max(V::load(columns + j * kLanes), largest);  // NaN is passed over and met again by exp
    for (int64_t j = 0; j < n; ++j) {
      const F shifted = V::sub(V::load(columns + j * kLanes), largest), e = exp_below_zero(shifted);
      sum = V::add(sum, e);
      V::store(columns + j * kLanes, log ? shifted : e);
    }
    V::store(sums, sum);
    if (log) log_lanes<V>(sums);
    const F log_sum = V::load(sums), inverse = V::div(V::set1(1), sum);
    for (int64_t j = 0; j < n; ++j) {
      const F v = V::load(columns + j * kLanes);
      V::store(columns + j * kLanes, log ? V::sub(v, log_sum) : V::mul(v, inverse));
    }
    for (int64_t r = 0; r < live; ++r)
      for (int64_t j = 0; j < n; ++j) y[r * n + j] = columns[j * kLanes + r];
  }
}

}  // namespace
}  // namespace narrow::kernels
