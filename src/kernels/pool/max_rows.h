// Maxima of bytes along whole rows of pixels: first over the rows of a window, into a line, then over its
// columns.
#pragma once

#include <cstdint>

namespace narrow::kernels {

/// line[i] = the largest of src[r * row_stride + i] for r < rows, i < bytes; rows >= 1.
void max_of_rows_avx512(bool is_signed, const uint8_t* src, int64_t row_stride, int64_t rows, int64_t bytes,
                        uint8_t* line);
void max_of_rows_avx2(bool is_signed, const uint8_t* src, int64_t row_stride, int64_t rows, int64_t bytes,
                      uint8_t* line);

/// out[p * c + i] = the largest of line[p * step + j * tap_step + i] for j < taps, i < c, p < pixels; taps
/// >= 1.
struct MaxColumns {
  int64_t c, pixels, step, taps, tap_step;  // in bytes
};
void max_of_columns_avx512(bool is_signed, const MaxColumns& of, const uint8_t* line, uint8_t* out);
void max_of_columns_avx2(bool is_signed, const MaxColumns& of, const uint8_t* line, uint8_t* out);

}  // namespace narrow::kernels
