#include "kernels/math/simd_avx2.h"
// The vector type first: the templates below use it.
#include "kernels/conv/f32_tile_kernel.h"

namespace narrow::kernels {
namespace {

// 6 x 16: 12 accumulators, two vectors of B and a broadcast in 16 registers.
template <int NV>
constexpr F32TileKernel kTiles[] = {tile<Simd256, 1, NV>, tile<Simd256, 2, NV>, tile<Simd256, 3, NV>,
                                    tile<Simd256, 4, NV>, tile<Simd256, 5, NV>, tile<Simd256, 6, NV>};

constexpr F32Kernels kKernels = {8, 6, {kTiles<1>, kTiles<2>}, to_f32<Simd256>};

}  // namespace

const F32Kernels& f32_kernels_avx2() { return kKernels; }

}  // namespace narrow::kernels
