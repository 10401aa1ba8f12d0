// How a float convolution is cut up: where its pixels lie, which tiles cover the output, which tiles make a
// task.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/conv/conv.h"
#include "kernels/conv/f32_tile.h"

namespace narrow::kernels {

/// Two runs of pixels (see F32Tile): output positions and where their inputs start, in bytes from the image's
/// start.
struct F32TilePlace {
  int64_t rows = 0;
  int64_t pixel[2] = {0, 0};  // output pixel, counted over the whole dst
  int64_t source[2] = {0, 0};
  size_t live = 0;  // of F32Geometry::live
};

/// Outputs are `lines` rows of `width` neighbouring pixels; inputs of neighbours are pixel_stride bytes
/// apart. The image the tiles read is src itself, or a float copy of it in scratch with the padding written
/// out.
struct F32Geometry {
  bool copied = false;
  bool gathered = false;  // copied, and only the pixels a 1x1 window meets
  // The image: [n][image_h][image_w] pixels of image_c floats (at least shape.c).
  int64_t image_h = 0, image_w = 0, image_c = 0;

  int64_t lines = 0, width = 0, lines_per_image = 0;
  int64_t pixel_stride = 0, line_stride = 0, image_stride = 0;  // bytes
  std::vector<F32Span> spans;                                   // all of the weights
  int64_t span_length = 0, spans_per_row = 0;

  std::vector<F32TilePlace> tiles;
  std::vector<std::vector<F32Span>> live;  // those that tiles need; the first are all

  int64_t image_bytes(const ConvShape& shape) const { return shape.n * image_h * image_w * image_c * 4; }
};

F32Geometry f32_geometry(const ConvSpec& spec, int64_t max_rows);

/// Tasks are tile blocks x panel blocks.
struct F32Tasks {
  int64_t tile_blocks = 1, panel_blocks = 1;
  bool by_tile = false;  // within a task: all panels of a tile, then the next tile; else all tiles of a panel
  int64_t count() const { return tile_blocks * panel_blocks; }
};

/// panels: of all groups together.
F32Tasks f32_tasks(const ConvShape& shape, const F32Geometry& geometry, int64_t panels, int64_t panel_columns,
                   int threads);

}  // namespace narrow::kernels
