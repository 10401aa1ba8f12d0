#include "kernels/lanes/lanes_avx512.h"
#include "kernels/norm/group_norm_block.h"

namespace narrow::kernels {
namespace {

/// kVectors of 16 channels side by side: their sums do not wait for each other.
template <int kVectors>
inline void sum_block(const GroupNormBlock& b) {
  __mmask16 live[kVectors];
  __m512 mean[kVectors], first[kVectors], second[kVectors];
  for (int v = 0; v < kVectors; ++v) {
    live[v] = first_lanes16(b.channels - 16 * v);
    mean[v] = first[v] = second[v] = _mm512_setzero_ps();
  }
  for (int64_t r = 0; r < b.rows; ++r)
    for (int v = 0; v < kVectors; ++v)
      mean[v] = _mm512_add_ps(mean[v], _mm512_maskz_loadu_ps(live[v], b.x + r * b.pitch + 16 * v));
  const __m512 part = _mm512_set1_ps(1.0F / static_cast<float>(b.rows));
  for (int v = 0; v < kVectors; ++v) mean[v] = _mm512_mul_ps(mean[v], part);
  for (int64_t r = 0; r < b.rows; ++r)
    for (int v = 0; v < kVectors; ++v) {
      const __m512 d = _mm512_sub_ps(_mm512_maskz_loadu_ps(live[v], b.x + r * b.pitch + 16 * v), mean[v]);
      first[v] = _mm512_add_ps(first[v], d);
      second[v] = _mm512_fmadd_ps(d, d, second[v]);
    }
  for (int v = 0; v < kVectors; ++v) {
    _mm512_storeu_ps(b.pivot + 16 * v, mean[v]);
    _mm512_storeu_ps(b.first + 16 * v, first[v]);
    _mm512_storeu_ps(b.second + 16 * v, second[v]);
  }
}

inline __m512 normalised(const GroupNormRun& run, int64_t i, int64_t c, __mmask16 live) {
  const __m512 d =
      _mm512_sub_ps(_mm512_maskz_loadu_ps(live, run.x + i + c), _mm512_maskz_loadu_ps(live, run.mean + c));
  return _mm512_fmadd_ps(d, _mm512_maskz_loadu_ps(live, run.scale + c),
                         _mm512_maskz_loadu_ps(live, run.shift + c));
}

}  // namespace

void group_norm_block_avx512(const GroupNormBlock& block) {
  if (block.channels > 48) return sum_block<4>(block);
  if (block.channels > 32) return sum_block<3>(block);
  if (block.channels > 16) return sum_block<2>(block);
  sum_block<1>(block);
}

void group_norm_run_avx512(const GroupNormRun& run) {
  for (int64_t i = 0; i < run.n; i += run.channels) {
    const int64_t n = run.n - i < run.channels ? run.n - i : run.channels;
    int64_t c = 0;
    for (; c + 16 <= n; c += 16) _mm512_storeu_ps(run.y + i + c, normalised(run, i, c, 0xffff));
    if (c == n) continue;
    const __mmask16 live = first_lanes16(n - c);
    _mm512_mask_storeu_ps(run.y + i + c, live, normalised(run, i, c, live));
  }
}

}  // namespace narrow::kernels
