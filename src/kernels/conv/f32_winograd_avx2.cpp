#include "kernels/math/simd_avx2.h"
// The vector type first: the templates below use it.
#include "kernels/conv/f32_winograd_kernel.h"

namespace narrow::kernels {

void f32_winograd_in_avx2(const F32PatchIn& patch) { patch_in<Simd256>(patch); }
void f32_winograd_out_avx2(const F32PatchOut& patch) { patch_out<Simd256>(patch); }

}  // namespace narrow::kernels
