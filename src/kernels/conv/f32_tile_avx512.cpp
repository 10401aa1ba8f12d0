#include "kernels/math/simd_avx512.h"
// The vector type first: the templates below use it.
#include "kernels/conv/f32_tile_kernel.h"

namespace narrow::kernels {
namespace {

template <int NV>
constexpr F32TileKernel kTiles[] = {tile<Simd512, 1, NV>,  tile<Simd512, 2, NV>,  tile<Simd512, 3, NV>,
                                    tile<Simd512, 4, NV>,  tile<Simd512, 5, NV>,  tile<Simd512, 6, NV>,
                                    tile<Simd512, 7, NV>,  tile<Simd512, 8, NV>,  tile<Simd512, 9, NV>,
                                    tile<Simd512, 10, NV>, tile<Simd512, 11, NV>, tile<Simd512, 12, NV>,
                                    tile<Simd512, 13, NV>, tile<Simd512, 14, NV>};

constexpr F32Kernels kKernels = {16, 14, {kTiles<1>, kTiles<2>}, to_f32<Simd512>};

}  // namespace

const F32Kernels& f32_kernels_avx512() { return kKernels; }

}  // namespace narrow::kernels
