#include "kernels/math/simd_avx2.h"
// The vector type first: the templates below use it.
#include "kernels/conv/f32_winograd_kernel.h"

namespace narrow::kernels {

const F32WinogradKernels& f32_winograd2_avx2() { return f32_winograd_kernels<Simd256, 2>(); }
const F32WinogradKernels& f32_winograd4_avx2() { return f32_winograd_kernels<Simd256, 4>(); }

}  // namespace narrow::kernels
