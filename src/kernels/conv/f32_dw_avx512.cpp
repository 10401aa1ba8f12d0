#include "kernels/math/simd_avx512.h"
// The vector type first: the templates below use it.
#include "kernels/conv/f32_dw_kernel.h"

namespace narrow::kernels {

const F32StripKernels& f32_strip_kernels_avx512() { return kStripKernels<Simd512>; }

}  // namespace narrow::kernels
