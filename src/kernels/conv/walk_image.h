// The source as a walk reads it: consecutive output pixels a constant number of bytes apart.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/conv/conv.h"
#include "kernels/conv/walk_layout.h"

namespace narrow::kernels {

/// A padded copy of rows of all images, one after the other: row R = image * rows + y. Position p, counted
/// from the copy's first row, stands for output pixel (y, x) of row p / pitch, x = p % pitch; its tap (i, j)
/// starts at p * pixel_stride + offset(i, j). Positions with x >= ow or y >= oh are between rows and images:
/// computed and thrown away, so that a tile of pixels may run over the end of a row.
///
/// Layout: [phase][copied rows][pitch * stride_w pixels][bytes of a pixel]. A phase holds the padded rows of
/// one remainder modulo stride_h; phases no tap reads are left out. The padding right of a row is the padding
/// left of the next row.
struct ConvImage {
  int64_t pitch = 1;         // positions per output row
  int64_t rows = 1;          // per phase and image
  int64_t pixel_stride = 1;  // bytes between positions
  int64_t row_bytes = 0;
  int64_t interleaved = 1;      // source rows in a copied row, from the phase on, pixel by pixel
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

/// `shape` with c = bytes of a stored pixel, which with `interleaved` > 1 is that many rows'. Then each row
/// of outputs has rows of its own, one per phase.
ConvImage conv_image(const ConvShape& shape, int64_t interleaved);

/// Byte offsets of the segments' starts, in a copy for `count` rows of outputs.
std::vector<int64_t> conv_image_offsets(const ConvShape& shape, const ConvLayout& layout,
                                        const ConvImage& image, int64_t count);

/// Counted through all images; -1 outside of them.
inline int64_t source_row(const ConvShape& s, int64_t n, int64_t y) {
  return n < s.n && y >= 0 && y < s.h ? n * s.h + y : -1;
}

/// Copies what the outputs of rows [first, first + count) read: copied_bytes(room) at `to`, where room >=
/// count is what the offsets were made for. copy_row(n, y, to) writes the image.row_bytes of a padded row, of
/// source row y of image n; rows outside of images are padding.
template <class CopyRow>
void conv_image_copy(const ConvShape& s, const ConvImage& image, int64_t first, int64_t count, int64_t room,
                     uint8_t* to, const CopyRow& copy_row) {
  for (const int64_t phase : image.phases) {
    for (int64_t r = 0; r < image.copied_rows(count); ++r) {
      const int64_t n = (first + r) / image.rows,
                    y = (first + r) % image.rows * s.stride_h + phase - s.pad_top;
      copy_row(n, y, to + r * image.row_bytes);
    }
    to += image.copied_rows(room) * image.row_bytes;
  }
}

}  // namespace narrow::kernels
