// Planes of few channels to pixels.
#pragma once

#include <cstdint>

namespace narrow::kernels {

constexpr int64_t kFewestPlanes = 2, kMostPlanes = 4;

/// [channels][count] bytes -> [count][channels], kFewestPlanes to kMostPlanes channels.
void planes_to_pixels_avx2(const uint8_t* planes, int64_t channels, int64_t count, uint8_t* dst);

}  // namespace narrow::kernels
