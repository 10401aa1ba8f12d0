#include "kernels/conv/f32_geometry.h"

#include <gtest/gtest.h>

namespace narrow::kernels {
namespace {

ConvSpec spec_of(const ConvShape& shape) {
  ConvSpec spec;
  spec.shape = shape, spec.src = spec.weights = spec.dst = DType::f32;
  return spec;
}

ConvShape square(int64_t extent, int64_t window, int64_t pad, int64_t dilation = 1, int64_t stride = 1) {
  const int64_t out = (extent + 2 * pad - (window - 1) * dilation - 1) / stride + 1;
  return {.n = 2,
          .h = extent,
          .w = extent,
          .c = 8,
          .oh = out,
          .ow = out,
          .oc = 8,
          .kh = window,
          .kw = window,
          .stride_h = stride,
          .stride_w = stride,
          .pad_top = pad,
          .pad_left = pad,
          .dilation_h = dilation,
          .dilation_w = dilation};
}

/// By definition: for each pixel of the tile, each tap of the span.
bool meets_source(const ConvShape& s, const F32Geometry& g, const F32TilePlace& tile, int64_t span) {
  const int64_t first = (tile.rows + 1) / 2, taps = g.spans_per_row == 1 ? s.kw : 1;
  for (int64_t i = 0; i < tile.rows; ++i) {
    const int64_t pixel = i < first ? tile.pixel[0] + i : tile.pixel[1] + i - first;
    const int64_t y = pixel / s.ow % s.oh * s.stride_h - s.pad_top + span / g.spans_per_row * s.dilation_h;
    for (int64_t j = 0; j < taps; ++j) {
      const int64_t x = pixel % s.ow * s.stride_w - s.pad_left + (span % g.spans_per_row + j) * s.dilation_w;
      if (y >= 0 && y < s.h && x >= 0 && x < s.w) return true;
    }
  }
  return false;
}

TEST(F32Geometry, TilesHaveTheSpansTheyNeed) {
  for (const ConvShape& s :
       {square(14, 3, 1), square(7, 3, 1), square(16, 3, 12, 12), square(33, 3, 6, 6), square(15, 3, 1, 1, 2),
        square(5, 7, 3, 1, 2), square(9, 5, 4, 2), square(6, 1, 0)})
    for (const int64_t rows : {6, 14}) {
      const F32Geometry g = f32_geometry(spec_of(s), rows);
      ASSERT_EQ(g.live[0].size(), g.spans.size());
      int64_t pixels = 0, left_out = 0;
      for (const F32TilePlace& tile : g.tiles) {
        pixels += tile.rows;
        std::vector<bool> has(g.spans.size());
        for (const F32Span& span : g.live[tile.live]) {
          EXPECT_EQ(span.offset, g.spans[static_cast<size_t>(span.number)].offset);
          has[static_cast<size_t>(span.number)] = true;
        }
        const bool one_row = tile.pixel[0] / s.ow == (tile.pixel[0] + (tile.rows + 1) / 2 - 1) / s.ow;
        for (size_t i = 0; i < has.size(); ++i) {
          const bool needed = meets_source(s, g, tile, static_cast<int64_t>(i));
          EXPECT_TRUE(has[i] || !needed) << "span " << i << " of the tile at " << tile.pixel[0];
          EXPECT_TRUE(!has[i] || needed || !one_row) << "span " << i << " of the tile at " << tile.pixel[0];
          left_out += has[i] ? 0 : 1;
        }
      }
      EXPECT_EQ(pixels, s.n * s.oh * s.ow);
      if (s.dilation_h == 12) {
        EXPECT_GT(left_out * 2, static_cast<int64_t>(g.tiles.size() * g.spans.size()));
      }
    }
}

}  // namespace
}  // namespace narrow::kernels
