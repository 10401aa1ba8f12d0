// F(4x4, 3x3) in whole numbers, pairs of words multiplied by vpmaddwd.
#include "kernels/conv/s8_winograd_256.h"

namespace narrow::kernels {
namespace {

struct Madd {
  NARROW_INLINE __m256i add(__m256i sum, __m256i x, __m256i b) {
    return _mm256_add_epi32(sum, _mm256_madd_epi16(x, b));
  }
};

}  // namespace

const S8WinogradKernels& s8_winograd_avx2() { return S8Winograd256<Madd>::kernels(); }

}  // namespace narrow::kernels
