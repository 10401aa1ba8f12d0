// Runs of elements of any Format to and from FP32: the first and last stage of kernels that compute in FP32.
//
// Those kernels work on runs of at most kRun elements: loaded into a buffer in L1, computed there, stored
// from there. A run that is f32 already is used where it lies. All ISAs give equal bits.
#pragma once

#include <cstdint>

#include "base/cpu.h"
#include "kernels/tensor_quant.h"

namespace narrow::kernels {

constexpr int64_t kRun = 1024;  // 4 KiB of FP32: a few such buffers fit L1

/// dst[j] = real(src[first + j]) for j < n.
void load_run(const Format& format, const void* src, int64_t first, int64_t n, float* dst, Isa isa);
/// dst[first + j] = store(src[j]) for j < n.
void store_run(const Format& format, const float* src, void* dst, int64_t first, int64_t n, Isa isa);

/// The run itself when it is f32, else its copy in `buffer`.
const float* run_as_f32(const Format& format, const void* src, int64_t first, int64_t n, float* buffer,
                        Isa isa);
/// Where to compute a run of dst: in place when it is f32, else in `buffer`, for store_run to store.
inline float* run_to_f32(const Format& format, void* dst, int64_t first, float* buffer) {
  return format.type == DType::f32 ? static_cast<float*>(dst) + first : buffer;
}

// One per ISA; n elements from src on. scale, inverse and zero_point matter to u8 and s8.
struct LaneQuant {
  float scale = 1, inverse = 1;
  int32_t zero_point = 0;
};
using LoadLanes = void (*)(const void* src, int64_t n, const LaneQuant& quant, float* dst);
using StoreLanes = void (*)(const float* src, int64_t n, const LaneQuant& quant, void* dst);
LoadLanes load_lanes_plain(DType type);
StoreLanes store_lanes_plain(DType type);
LoadLanes load_lanes_avx2(DType type);
StoreLanes store_lanes_avx2(DType type);
LoadLanes load_lanes_avx512(DType type);
StoreLanes store_lanes_avx512(DType type);

}  // namespace narrow::kernels
