// One matrix, transposed:  dst[j * dst_pitch + i] = src[i * src_pitch + j]  for i < rows, j < columns. Per
// ISA.
#pragma once

#include <cstdint>

namespace narrow::kernels {

struct TransposeTile {
  const uint8_t* src;
  uint8_t* dst;
  int64_t src_pitch, dst_pitch;  // in elements
  int64_t rows, columns;         // of src
};

/// element_bytes 1, 2, 4 or 8.
void transpose_plain(int64_t element_bytes, const TransposeTile& tile);
/// element_bytes 1, 2 or 4. Up to four rows packed behind each other (dst_pitch = rows: planes to pixels), or
/// up to four columns (src_pitch = columns: pixels to planes), take a path of their own.
void transpose_avx512(int64_t element_bytes, const TransposeTile& tile);

}  // namespace narrow::kernels
