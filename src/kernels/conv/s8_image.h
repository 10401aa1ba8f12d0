// The source as the int8 kernels read it: consecutive output pixels a constant number of bytes apart.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/conv/s8_layout.h"

namespace narrow::kernels {

/// A padded copy of rows of all images, one after the other: row R = image * rows + y. Position p, counted
/// from the copy's first row, stands for output pixel (y, x) of row p / pitch, x = p % pitch; its tap (i, j)
/// starts at p * pixel_stride + offset(i, j). Positions with x >= ow or y >= oh are between rows and images:
/// computed and thrown away, so that a tile of pixels may run over the end of a row.
///
/// Layout: [phase][copied rows][pitch * stride_w pixels][c]. A phase holds the padded rows of one remainder
/// modulo stride_h; phases no tap reads are left out. The padding right of a row is the padding left of the
/// next row.
struct S8Image {
  int64_t pitch = 1;         // positions per output row
  int64_t rows = 1;          // per phase and image
  int64_t pixel_stride = 1;  // bytes between positions
  int64_t row_bytes = 0;
  int64_t below = 0;            // rows of a phase that the window of an output row reaches beyond its first
  std::vector<int64_t> phases;  // the remainders kept, ascending

  /// Rows that outputs begin in, of all images.
  int64_t output_rows(const ConvShape& s) const { return (s.n - 1) * rows + s.oh; }
  /// Rows to copy for `count` of them: where the last window ends, and the row whose padding ends that row.
  int64_t copied_rows(int64_t count) const { return count + below + 1; }
  int64_t copied_bytes(int64_t count) const {
    return static_cast<int64_t>(phases.size()) * copied_rows(count) * row_bytes;
  }
};

S8Image s8_image(const ConvShape& shape);

/// Byte offsets of the segments' starts, in a copy for `count` rows of outputs.
std::vector<int64_t> s8_image_offsets(const ConvShape& shape, const S8Layout& layout, const S8Image& image,
                                      int64_t count);

/// Copies what the outputs of rows [first, first + count) read, padding with `fill`: copied_bytes(room) at
/// `to`, where room >= count is what the offsets were made for.
void s8_copy_rows(const ConvShape& shape, const S8Image& image, uint8_t fill, const uint8_t* src,
                  int64_t first, int64_t count, int64_t room, uint8_t* to);

}  // namespace narrow::kernels
