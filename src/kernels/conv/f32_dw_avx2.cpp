#include "kernels/math/simd_avx2.h"
// The vector type first: the templates below use it.
#include "kernels/conv/f32_dw_kernel.h"

namespace narrow::kernels {

const F32StripKernels& f32_strip_kernels_avx2() { return kStripKernels<Simd256>; }

}  // namespace narrow::kernels
