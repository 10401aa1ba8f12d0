// Resize of images, channels last, nearest or linear (ONNX Resize without antialiasing).
#pragma once

#include <cstdint>

#include "base/cpu.h"
#include "parallel/thread_pool.h"
#include "tensor/dtype.h"

namespace narrow::kernels {

/// Source coordinate of output x:  half_pixel (x + 0.5) / scale - 0.5;  pytorch_half_pixel the same, 0 when
/// the output has one element;  asymmetric x / scale;  align_corners x * (in - 1) / (out - 1), 0 when the
/// output has one element.
enum class ResizeCoordinates : uint8_t { half_pixel, pytorch_half_pixel, asymmetric, align_corners };
enum class ResizeMode : uint8_t { nearest, linear };
enum class ResizeNearest : uint8_t { round_prefer_floor, round_prefer_ceil, floor, ceil };

/// Source and destination share one format (f32 bf16 f16 u8 s8) and quantization.
struct ResizeSpec {
  ResizeMode mode = ResizeMode::nearest;
  ResizeCoordinates coordinates = ResizeCoordinates::half_pixel;
  ResizeNearest nearest = ResizeNearest::round_prefer_floor;
  DType type = DType::f32;
  int64_t n = 1, h = 1, w = 1, c = 1;  // src [n,h,w,c]
  int64_t oh = 1, ow = 1;              // dst [n,oh,ow,c]
  float scale_h = 1, scale_w = 1;      // as the node gives them, or oh / h and ow / w
};

/// Linear: coordinates are clamped to the image, lerp(a, b, f) = fma(b - a, f, a), along w in both rows, then
/// along h. u8 and s8 interpolate the stored integers and round half to even. Equal on all ISAs.
void resize_reference(const ResizeSpec& spec, const void* src, void* dst);
/// scratch: resize_scratch_bytes, 64-byte aligned; holds the taps of both axes.
int64_t resize_scratch_bytes(const ResizeSpec& spec);
void resize(const ResizeSpec& spec, const void* src, void* dst, void* scratch, Isa isa, ThreadPool& pool);

}  // namespace narrow::kernels
