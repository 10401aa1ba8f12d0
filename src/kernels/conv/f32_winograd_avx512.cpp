#include "kernels/math/simd_avx512.h"
// The vector type first: the templates below use it.
#include "kernels/conv/f32_winograd_kernel.h"

namespace narrow::kernels {

const F32WinogradKernels& f32_winograd2_avx512() { return f32_winograd_kernels<Simd512, 2>(); }
const F32WinogradKernels& f32_winograd4_avx512() { return f32_winograd_kernels<Simd512, 4>(); }

}  // namespace narrow::kernels
