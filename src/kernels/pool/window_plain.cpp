#include <algorithm>
#include <limits>

#include "kernels/lanes/element.h"
#include "kernels/lanes/lanes.h"
#include "kernels/pool/window.h"

namespace narrow::kernels {
namespace {

/// Calls f(pointer to channel 0 of the tap, whether a row ends here).
template <class F>
void each_tap(const PoolWindow& w, F&& f) {
  for (int64_t i = 0; i < w.rows; ++i)
    for (int64_t j = 0; j < w.taps; ++j) f(w.src + i * w.row_bytes + j * w.tap_bytes, j + 1 == w.taps);
}

/// Channels inside, so that compilers find vectors.
template <class T>
void max_values(const PoolWindow& w, T lowest, void* dst) {
  T* best = static_cast<T*>(dst);
  std::fill(best, best + w.channels, lowest);
  each_tap(w, [&](const uint8_t* tap, bool) {
    const T* value = reinterpret_cast<const T*>(tap);
    for (int64_t c = 0; c < w.channels; ++c) best[c] = value[c] > best[c] ? value[c] : best[c];
  });
}

/// bf16 and f16 compare as floats.
template <DType kType>
void max_halves(const PoolWindow& w, void* dst) {
  const Format format{kType, {}};
  for (int64_t c = 0; c < w.channels; ++c) {
    float best = -std::numeric_limits<float>::infinity();
    each_tap(w, [&](const uint8_t* tap, bool) {
      const float value = load_real(format, tap, c);
      best = value > best ? value : best;
    });
    store_real(format, dst, c, best);
  }
}

template <DType kType>
void sum_bytes(const PoolSum& sum, const PoolWindow& w, float* dst) {
  alignas(64) int32_t total[kRun];
  std::fill_n(total, w.channels, -static_cast<int32_t>(w.rows * w.taps) * sum.zero_point);
  each_tap(w, [&](const uint8_t* tap, bool) {
    for (int64_t c = 0; c < w.channels; ++c) total[c] += load_integer(kType, tap, c);
  });
  for (int64_t c = 0; c < w.channels; ++c) dst[c] = static_cast<float>(total[c]) * sum.factor;
}

template <DType kType>
void sum_floats(const PoolSum& sum, const PoolWindow& w, float* dst) {
  alignas(64) float row[kRun] = {};
  std::fill_n(dst, w.channels, 0.0F);
  each_tap(w, [&](const uint8_t* tap, bool row_ends) {
    for (int64_t c = 0; c < w.channels; ++c) row[c] += load_real({kType, {}}, tap, c);
    if (!row_ends) return;
    for (int64_t c = 0; c < w.channels; ++c) dst[c] += row[c], row[c] = 0;
  });
  for (int64_t c = 0; c < w.channels; ++c) dst[c] /= sum.factor;
}

}  // namespace

void pool_max_plain(DType type, const PoolWindow& window, void* dst) {
  switch (type) {
    case DType::f32:
      return max_values(window, -std::numeric_limits<float>::infinity(), dst);
    case DType::bf16:
      return max_halves<DType::bf16>(window, dst);
    case DType::f16:
      return max_halves<DType::f16>(window, dst);
    case DType::u8:
      return max_values(window, uint8_t{0}, dst);
    default:
      return max_values(window, int8_t{-128}, dst);
  }
}

void pool_sum_plain(const PoolSum& sum, const PoolWindow& window, float* dst) {
  switch (sum.type) {
    case DType::f32:
      return sum_floats<DType::f32>(sum, window, dst);
    case DType::bf16:
      return sum_floats<DType::bf16>(sum, window, dst);
    case DType::f16:
      return sum_floats<DType::f16>(sum, window, dst);
    case DType::u8:
      return sum_bytes<DType::u8>(sum, window, dst);
    default:
      return sum_bytes<DType::s8>(sum, window, dst);
  }
}

}  // namespace narrow::kernels
