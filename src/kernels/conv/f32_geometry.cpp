#include "kernels/conv/f32_geometry.h"

#include <algorithm>

#include "base/aligned.h"

namespace narrow::kernels {
namespace {

// Pixels whose distance is a multiple of this share few L1 sets: 14 of them no longer fit side by side.
constexpr int64_t kConflictBytes = 4096;

bool reads_outside(const ConvShape& s) {
  return s.pad_top > 0 || s.pad_left > 0 || (s.oh - 1) * s.stride_h + (s.kh - 1) * s.dilation_h >= s.h ||
         (s.ow - 1) * s.stride_w + (s.kw - 1) * s.dilation_w >= s.w;
}

void place_image(const ConvSpec& spec, F32Geometry& g) {
  const ConvShape& s = spec.shape;
  const bool pointwise = s.kh == 1 && s.kw == 1, outside = reads_outside(s);
  const bool conflict = s.ow * s.oh * s.n > 1 && s.stride_w * s.src_pixel() * 4 % kConflictBytes == 0;
  g.copied = outside || conflict || spec.src != DType::f32;
  g.gathered = g.copied && pointwise;
  g.image_h = s.h, g.image_w = s.w, g.image_c = g.copied ? s.c : s.src_pixel();
  if (g.gathered) {
    g.image_h = s.oh, g.image_w = s.ow;
  } else if (g.copied) {
    g.image_h = std::max(s.h + s.pad_top, (s.oh - 1) * s.stride_h + (s.kh - 1) * s.dilation_h + 1);
    g.image_w = std::max(s.w + s.pad_left, (s.ow - 1) * s.stride_w + (s.kw - 1) * s.dilation_w + 1);
  }
  const int64_t pixel_step = g.gathered ? 1 : s.stride_w;
  if (g.copied && pixel_step * s.c * 4 % kConflictBytes == 0) g.image_c = s.c + 16;
}

void place_lines(const ConvShape& s, F32Geometry& g) {
  const int64_t step_h = g.gathered ? 1 : s.stride_h, step_w = g.gathered ? 1 : s.stride_w;
  g.pixel_stride = step_w * g.image_c * 4;
  g.line_stride = step_h * g.image_w * g.image_c * 4;
  g.image_stride = g.image_h * g.image_w * g.image_c * 4;
  g.lines_per_image = s.oh, g.width = s.ow;
  if (g.line_stride == g.pixel_stride * s.ow) {  // lines follow each other like pixels
    g.width *= s.oh, g.lines_per_image = 1;
    if (g.image_stride == g.pixel_stride * g.width) {
      g.lines = 1, g.width *= s.n;
      return;
    }
  }
  g.lines = s.n * g.lines_per_image;
}

/// Neighbouring taps of a row are neighbours in memory, unless dilation, other groups or conflict padding lie
/// between.
void place_spans(const ConvShape& s, F32Geometry& g) {
  const bool joined = s.groups == 1 && g.image_c == s.c && s.dilation_w == 1;
  g.span_length = joined ? s.kw * s.c : s.c / s.groups;
  for (int64_t i = 0; i < s.kh; ++i)
    for (int64_t j = 0; j < (joined ? 1 : s.kw); ++j)
      g.span_offset.push_back((i * s.dilation_h * g.image_w + j * s.dilation_w) * g.image_c * 4);
}

int64_t source(const F32Geometry& g, int64_t line, int64_t x) {
  return line / g.lines_per_image * g.image_stride + line % g.lines_per_image * g.line_stride +
         x * g.pixel_stride;
}

/// Pixels [x, end) of a line: its halves are the two runs.
F32TilePlace part_of_line(const F32Geometry& g, int64_t line, int64_t x, int64_t end) {
  const int64_t half = x + (end - x + 1) / 2;
  return {end - x, {line * g.width + x, line * g.width + half}, {source(g, line, x), source(g, line, half)}};
}

/// Two short lines share a tile, long ones are cut into equal parts.
void place_tiles(int64_t max_rows, F32Geometry& g) {
  const int64_t parts = div_up(g.width, max_rows), shared = g.width * 2 <= max_rows ? g.lines / 2 : 0;
  for (int64_t line = 0; line < shared * 2; line += 2)
    g.tiles.push_back(
        {g.width * 2, {line * g.width, (line + 1) * g.width}, {source(g, line, 0), source(g, line + 1, 0)}});
  for (int64_t line = shared * 2; line < g.lines; ++line)
    for (int64_t i = 0; i < parts; ++i)
      g.tiles.push_back(part_of_line(g, line, g.width * i / parts, g.width * (i + 1) / parts));
}

}  // namespace

F32Geometry f32_geometry(const ConvSpec& spec, int64_t max_rows) {
  F32Geometry g;
  place_image(spec, g);
  place_lines(spec.shape, g);
  place_spans(spec.shape, g);
  if (spec.shape.n * spec.shape.oh * spec.shape.ow > 0) place_tiles(max_rows, g);
  return g;
}

F32Tasks f32_tasks(const ConvShape& s, const F32Geometry& g, int64_t panels, int64_t panel_columns,
                   int threads) {
  // A task keeps its tiles' inputs and one panel in L2 (2 MiB here, 1 MiB on many); about 8 us of work at
  // least.
  constexpr int64_t kInputBytes = 512 << 10, kSmallWeights = 256 << 10, kLargeWeights = 512 << 10;
  constexpr int64_t kTaskMacs = 700'000, kTaskWeightBytes = 128 << 10;
  const auto tiles = static_cast<int64_t>(g.tiles.size());
  if (tiles == 0) return {};
  const int64_t input_bytes = std::min(g.image_bytes(s), s.n * s.oh * s.ow * s.c * s.kh * s.kw * 4);
  const int64_t spans = static_cast<int64_t>(g.span_offset.size());
  const int64_t weight_bytes = panels * panel_columns * g.span_length * spans * 4;
  const int64_t work = std::max(s.macs() / kTaskMacs, weight_bytes / kTaskWeightBytes);
  const int64_t wanted = std::clamp<int64_t>(work, 1, int64_t{8} * threads);
  F32Tasks tasks;
  tasks.by_tile = weight_bytes <= kSmallWeights;
  if (input_bytes > kInputBytes * 2) tasks.tile_blocks = std::min(tiles, div_up(input_bytes, kInputBytes));
  if (threads > 1 && tasks.tile_blocks < wanted) {
    // Small weights: every task reads all of them. Large ones: each core reads its own part once.
    if (weight_bytes > kLargeWeights)
      tasks.panel_blocks = std::min(panels, div_up(wanted, tasks.tile_blocks));
    tasks.tile_blocks = std::clamp(div_up(wanted, tasks.panel_blocks), tasks.tile_blocks, tiles);
    if (tasks.count() < wanted) tasks.panel_blocks = std::min(panels, div_up(wanted, tasks.tile_blocks));
  }
  return tasks;
}

}  // namespace narrow::kernels
