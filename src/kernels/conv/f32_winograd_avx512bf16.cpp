// As with AVX-512, bf16 being rounded by one instruction, which stores subnormal numbers as zero.
#include "kernels/math/simd_avx512.h"
// The vector type first: the templates below use it.
#include "kernels/conv/f32_winograd_kernel.h"

namespace narrow::kernels {
namespace {

struct Simd512Bf16 : Simd512 {
  static inline void store_bf16(uint16_t* p, Mask m, F x) {
    _mm256_mask_storeu_epi16(p, m, reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(x)));
  }
};

}  // namespace

const F32WinogradKernels& f32_winograd4_avx512bf16() { return f32_winograd_kernels<Simd512Bf16, 4>(); }

}  // namespace narrow::kernels
