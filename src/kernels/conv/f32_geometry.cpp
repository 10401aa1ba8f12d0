#include "kernels/conv/f32_geometry.h"

#include <algorithm>
#include <map>

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
  g.spans_per_row = joined ? 1 : s.kw;
  for (int64_t i = 0; i < s.kh; ++i)
    for (int64_t j = 0; j < g.spans_per_row; ++j)
      g.spans.push_back({(i * s.dilation_h * g.image_w + j * s.dilation_w) * g.image_c * 4,
                         static_cast<int64_t>(g.spans.size())});
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

/// Outputs of one axis whose tap meets the source.
struct Reach {
  int64_t first, last;
  bool meets(int64_t begin, int64_t end) const { return begin <= last && end > first; }
};

std::vector<Reach> reaches(int64_t taps, int64_t dilation, int64_t stride, int64_t pad, int64_t extent) {
  std::vector<Reach> list;
  for (int64_t tap = 0; tap < taps; ++tap) {
    const int64_t before =
        pad - tap * dilation;  // the first output's place, counted backwards from the source
    list.push_back({before > 0 ? div_up(before, stride) : 0,
                    extent - 1 + before < 0 ? -1 : (extent - 1 + before) / stride});
  }
  return list;
}

/// Gives tiles the spans in which one of their pixels meets more than padding: at borders, and where windows
/// are wide for the image.
class LiveSpans {
 public:
  LiveSpans(const ConvShape& s, F32Geometry& g)
      : s_(s),
        g_(g),
        rows_(reaches(s.kh, s.dilation_h, s.stride_h, s.pad_top, s.h)),
        columns_(reaches(s.kw, s.dilation_w, s.stride_w, s.pad_left, s.w)) {}

  void give() {
    g_.live = {g_.spans};
    known_[all()] = 0;
    const bool pads = g_.copied && !g_.gathered && g_.spans.size() <= 64 && reads_outside(s_);
    if (!pads) return;
    for (F32TilePlace& tile : g_.tiles) {
      const int64_t first = (tile.rows + 1) / 2;
      tile.live = set_of(live_in(tile.pixel[0], first) | live_in(tile.pixel[1], tile.rows - first));
    }
  }

 private:
  uint64_t all() const { return g_.spans.size() < 64 ? (uint64_t{1} << g_.spans.size()) - 1 : ~uint64_t{0}; }

  /// A bit for each span; all for pixels of more than one row.
  uint64_t live_in(int64_t pixel, int64_t count) const {
    const int64_t x = pixel % s_.ow, y = pixel / s_.ow % s_.oh;
    if (count == 0) return 0;
    if (x + count > s_.ow) return all();
    uint64_t live = 0;
    for (const F32Span& span : g_.spans) {
      const int64_t tap = span.number % g_.spans_per_row, taps = g_.spans_per_row == 1 ? s_.kw : 1;
      bool meets = false;
      for (int64_t j = tap; j < tap + taps; ++j)
        meets = meets || columns_[static_cast<size_t>(j)].meets(x, x + count);
      meets = meets && rows_[static_cast<size_t>(span.number / g_.spans_per_row)].meets(y, y + 1);
      live |= uint64_t{meets} << span.number;
    }
    return live;
  }

  size_t set_of(uint64_t live) {
    const auto [known, fresh] = known_.try_emplace(live, g_.live.size());
    if (fresh) {
      g_.live.emplace_back();
      for (const F32Span& span : g_.spans)
        if (live >> span.number & 1) g_.live.back().push_back(span);
    }
    return known->second;
  }

  const ConvShape& s_;
  F32Geometry& g_;
  std::vector<Reach> rows_, columns_;
  std::map<uint64_t, size_t> known_;
};

}  // namespace

F32Geometry f32_geometry(const ConvSpec& spec, int64_t max_rows) {
  F32Geometry g;
  place_image(spec, g);
  place_lines(spec.shape, g);
  place_spans(spec.shape, g);
  if (spec.shape.n * spec.shape.oh * spec.shape.ow > 0) place_tiles(max_rows, g);
  LiveSpans(spec.shape, g).give();
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
  const int64_t spans = static_cast<int64_t>(g.spans.size());
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
