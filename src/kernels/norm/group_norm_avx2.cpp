#include "kernels/lanes/lanes_avx2.h"
#include "kernels/norm/group_norm_block.h"

namespace narrow::kernels {
namespace {

/// kVectors of 8 channels from `begin` on, side by side: their sums do not wait for each other.
template <int kVectors>
inline void sum_block(const GroupNormBlock& b, int64_t begin) {
  __m256i live[kVectors];
  __m256 mean[kVectors], first[kVectors], second[kVectors];
  for (int v = 0; v < kVectors; ++v) {
    live[v] = first_lanes8(b.channels - begin - 8 * v);
    mean[v] = first[v] = second[v] = _mm256_setzero_ps();
  }
  const float* x = b.x + begin;
  for (int64_t r = 0; r < b.rows; ++r)
    for (int v = 0; v < kVectors; ++v)
      mean[v] = _mm256_add_ps(mean[v], _mm256_maskload_ps(x + r * b.pitch + 8 * v, live[v]));
  const __m256 part = _mm256_set1_ps(1.0F / static_cast<float>(b.rows));
  for (int v = 0; v < kVectors; ++v) mean[v] = _mm256_mul_ps(mean[v], part);
  for (int64_t r = 0; r < b.rows; ++r)
    for (int v = 0; v < kVectors; ++v) {
      const __m256 d = _mm256_sub_ps(_mm256_maskload_ps(x + r * b.pitch + 8 * v, live[v]), mean[v]);
      first[v] = _mm256_add_ps(first[v], d);
      second[v] = _mm256_fmadd_ps(d, d, second[v]);
    }
  for (int v = 0; v < kVectors; ++v) {
    _mm256_storeu_ps(b.pivot + begin + 8 * v, mean[v]);
    _mm256_storeu_ps(b.first + begin + 8 * v, first[v]);
    _mm256_storeu_ps(b.second + begin + 8 * v, second[v]);
  }
}

}  // namespace

/// Three vectors at a time: three sums each and their masks are twelve of sixteen registers.
void group_norm_block_avx2(const GroupNormBlock& block) {
  int64_t c = 0;
  for (; c + 16 < block.channels; c += 24) sum_block<3>(block, c);
  if (c + 8 < block.channels)
    sum_block<2>(block, c);
  else if (c < block.channels)
    sum_block<1>(block, c);
}

void group_norm_run_avx2(const GroupNormRun& run) {
  for (int64_t i = 0; i < run.n; i += run.channels) {
    const int64_t n = run.n - i < run.channels ? run.n - i : run.channels;
    const float* x = run.x + i;
    float* y = run.y + i;
    int64_t c = 0;
    for (; c + 8 <= n; c += 8) {
      const __m256 d = _mm256_sub_ps(_mm256_loadu_ps(x + c), _mm256_loadu_ps(run.mean + c));
      _mm256_storeu_ps(y + c,
                       _mm256_fmadd_ps(d, _mm256_loadu_ps(run.scale + c), _mm256_loadu_ps(run.shift + c)));
    }
    if (c == n) continue;
    const __m256i live = first_lanes8(n - c);
    const __m256 d = _mm256_sub_ps(_mm256_maskload_ps(x + c, live), _mm256_maskload_ps(run.mean + c, live));
    _mm256_maskstore_ps(
        y + c, live,
        _mm256_fmadd_ps(d, _mm256_maskload_ps(run.scale + c, live), _mm256_maskload_ps(run.shift + c, live)));
  }
}

}  // namespace narrow::kernels
