// The source as the int8 kernels read it: consecutive output pixels a constant number of bytes apart.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/conv/s8_layout.h"

namespace narrow::kernels {

/// A padded copy of one or more images. Position p = (image * rows + y) * pitch + x stands for output pixel
/// (y, x); its tap (i, j) starts at  p * pixel_stride + offset(i, j). Positions with x >= ow or y >= oh are
/// between rows and images: computed and thrown away, so that a tile of pixels may run over the end of a row.
///
/// Layout: [phase][image][rows][pitch * stride_w pixels][c]. A phase holds the padded rows of one remainder
/// modulo stride_h; phases no tap reads are left out. The padding right of a row is the padding left of the
/// next row.
struct S8Image {
  int64_t pitch = 1;         // positions per output row
  int64_t rows = 1;          // per phase and image
  int64_t pixel_stride = 1;  // bytes between positions
  int64_t row_bytes = 0;
  std::vector<int64_t> phases;  // the remainders kept, ascending

  int64_t bytes_per_image() const { return static_cast<int64_t>(phases.size()) * rows * row_bytes; }
  int64_t phase_bytes(int64_t images) const { return images * rows * row_bytes; }
  /// Positions from the first to behind the last output pixel.
  int64_t positions(const ConvShape& s, int64_t images) const {
    return ((images - 1) * rows + s.oh - 1) * pitch + s.ow;
  }
};

S8Image s8_image(const ConvShape& shape);

/// Byte offsets of the segments' starts, for a copy of `images` images.
std::vector<int64_t> s8_image_offsets(const ConvShape& shape, const S8Layout& layout, const S8Image& image,
                                      int64_t images);

/// Copies `images` images, padding with `fill`, into `to`. Writes phase_bytes(images) per phase plus one left
/// padding.
void s8_fill_image(const ConvShape& shape, const S8Image& image, int64_t images, uint8_t fill,
                   const uint8_t* src, uint8_t* to, ThreadPool& pool);

}  // namespace narrow::kernels
