// F(4x4, 3x3) in whole numbers, pairs of words multiplied by vpdpwssd of AVX-VNNI.
#include "kernels/conv/s8_winograd_256.h"

namespace narrow::kernels {
namespace {

struct Dpwssd {
  NARROW_INLINE __m256i add(__m256i sum, __m256i x, __m256i b) { return _mm256_dpwssd_avx_epi32(sum, x, b); }
};

}  // namespace

const S8WinogradKernels& s8_winograd_avx2vnni() { return S8Winograd256<Dpwssd>::kernels(); }

}  // namespace narrow::kernels
