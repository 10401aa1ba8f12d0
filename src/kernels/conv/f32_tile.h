// The innermost product of the float convolutions: up to 14 output pixels times 32 output channels, all of K
// in registers. Plain structs and function tables; one file per ISA fills them.
#pragma once

#include <cstdint>

#include "kernels/activation.h"
#include "tensor/dtype.h"

namespace narrow::kernels {

/// What happens to a sum: dst = act(sum + bias + residual), rounded to dst's type.
struct F32Epilogue {
  Activation activation;
  DType dst = DType::f32;             // f32 bf16 f16
  DType residual = DType::undefined;  // f32 bf16 f16, undefined: none
  bool plain = true;                  // f32 in and out and a clamp: stays in registers
  float low = 0, high = 0;            // the clamp's bounds when plain
};

/// K is cut into spans of contiguous floats.
struct F32Span {
  int64_t offset;  // bytes from a pixel to its span
  int64_t number;  // among all spans of the weights
};

/// One tile. Its m pixels lie in two runs of equally spaced pixels: the first ceil(m/2) start at a[0], the
/// rest at a[1]; their outputs start at dst[0] and dst[1], `ld` elements apart.
struct F32Tile {
  const char* a[2];
  int64_t pixel_stride;        // bytes between neighbouring pixels of a run
  const F32Span* span;         // [spans]: those in which some pixel of the tile meets more than padding
  int64_t spans, span_length;  // floats
  const float* b;              // [all spans * span_length][columns of the kernel], 64-byte aligned
  const float* bias;           // [columns of the kernel]
  int64_t n;                   // live columns
  char* dst[2];
  const char* residual[2];
  int64_t ld;
  const F32Epilogue* epilogue;
  // Memory to bring into L2 meanwhile, 128 bytes per four k: a quarter of a panel like b. Null: none.
  const char* ahead;
};

using F32TileKernel = void (*)(const F32Tile& tile);

/// The kernels of one ISA. Every output element is one chain of fused multiply-adds over k = 0, 1, ..., so
/// all tile sizes and ISAs give the same bits: products with padding, left out or not, change none.
struct F32Kernels {
  int64_t lanes;                  // of one vector; a panel has 2 * lanes columns, a narrow one `lanes`
  int64_t max_rows;               // of a tile
  const F32TileKernel* tiles[2];  // [vectors per row - 1][m - 1]
  /// count elements of a float type -> f32
  void (*to_f32)(DType type, const void* src, float* dst, int64_t count);
};

const F32Kernels& f32_kernels_avx512();
const F32Kernels& f32_kernels_avx2();

}  // namespace narrow::kernels
