#include "kernels/conv/s8_layout.h"

#include <algorithm>

#include "kernels/layout/interleave.h"

namespace narrow::kernels {

namespace {

/// As if an element were a byte of the source wherever it is read.
ConvLayout layout_in_elements(const ConvSpec& spec, const S8Tile& bytes) {
  const ConvShape& s = spec.shape;
  S8Tile tile = bytes;
  tile.depth /= tile.element;
  const int64_t group_c = s.c / s.groups;
  int64_t merged = 1;
  for (int64_t m = 2; m <= s.groups && m * group_c <= tile.merge; ++m)
    if (s.groups % m == 0) merged = m;
  ConvLayout l;
  l.tile = tile;
  l.groups = s.groups / merged;
  l.group_bytes = group_c * merged;
  l.outputs = s.oc / l.groups;
  l.panels = div_up(l.outputs, tile.columns);
  const int64_t rows = std::min({tile.depth / (s.kw * l.group_bytes), s.kh, kMaxRows});
  if (tile.interleaves && l.groups == 1 && s.dilation_w == 1 && s.dilation_h == 1 && rows >= kMinRows) {
    l.rows_per_segment = rows;
    l.taps_per_segment = s.kw * l.rows_per_segment;
    l.segments = div_up(s.kh, l.rows_per_segment);
    l.segment_bytes = tile.depth;
    return l;
  }
  const bool row_is_contiguous = l.groups == 1 && s.dilation_w == 1;
  const bool row_is_denser =
      round_up(s.kw * l.group_bytes, tile.depth) < s.kw * round_up(l.group_bytes, tile.depth);
  l.taps_per_segment = row_is_contiguous && row_is_denser ? s.kw : 1;
  l.segments = s.kh * s.kw / l.taps_per_segment;
  l.segment_bytes = round_up(l.taps_per_segment * l.group_bytes, tile.depth);
  return l;
}

/// Calls run(o, first, at, count) for every run of packed bytes that holds neighbouring weights of output o:
/// `first` is the index of the first within [c / groups][kh][kw], the next one lies kh * kw further; `at` is
/// its place.
template <class F>
void for_each_run(const ConvShape& s, const ConvLayout& l, F&& run) {
  const int64_t group_c = s.c / s.groups, group_oc = s.oc / s.groups, taps = s.kh * s.kw,
                together = std::min<int64_t>(4, l.tile.depth), runs = l.tile.depth / together;
  for (int64_t o = 0; o < s.oc; ++o) {
    const int64_t group = o / l.outputs, output = o % l.outputs, column = output % l.tile.columns;
    const int64_t own_first = o / group_oc * group_c - group * l.group_bytes;  // within the merged group
    const int64_t panel = (group * l.panels + output / l.tile.columns) * l.panel_bytes();
    for (int64_t tap = 0; tap < taps; ++tap) {
      const int64_t i = tap / s.kw, rows = l.rows_per_segment;
      const int64_t tap_at = rows > 1 ? tap % s.kw * rows + i % rows : tap % l.taps_per_segment,
                    segment = rows > 1 ? i / rows : tap / l.taps_per_segment;
      const int64_t k0 = segment * l.segment_bytes + tap_at * l.group_bytes + own_first;
      for (int64_t c = 0; c < group_c;) {
        const int64_t k = k0 + c, count = std::min(together - k % together, group_c - c);
        const int64_t step = k / l.tile.depth, part = k % l.tile.depth / together;
        const int64_t block = (step * (l.tile.columns / 16) + column / 16) * runs + part;
        run(o, c * taps + tap, panel + (block * 16 + column % 16) * together + k % together, count);
        c += count;
      }
    }
  }
}

AlignedBuffer packed(const ConvSpec& spec, const ConvLayout& layout, const S8Tile& tile,
                     const int8_t* weights) {
  const ConvShape& s = spec.shape;
  const int64_t taps = s.kh * s.kw, depth = s.c / s.groups * taps;
  AlignedBuffer all = AlignedBuffer::zeroed(layout.weight_bytes());
  auto* to = all.as<int8_t>();
  for_each_run(s, layout_in_elements(spec, tile), [&](int64_t o, int64_t first, int64_t at, int64_t count) {
    const int8_t* from = weights + o * depth + first;
    for (int64_t i = 0; i < count; ++i) to[at + i] = from[i * taps];
  });
  return all;
}

S8Places places(const ConvLayout& layout) { return {layout.groups, layout.outputs, layout.padded_outputs()}; }

}  // namespace

ConvLayout s8_layout(const ConvSpec& spec, const S8Tile& tile) {
  ConvLayout l = layout_in_elements(spec, tile);
  l.tile.depth *= tile.element;
  l.group_bytes *= tile.element;
  l.segment_bytes *= tile.element;
  l.widening = tile.element;
  return l;
}

std::vector<int64_t> s8_stored_sizes(const ConvSpec& spec, const S8Tile& tile) {
  const ConvLayout l = s8_layout(spec, tile);
  return {l.weight_bytes(), l.columns() * 8};
}

void s8_unpack(const ConvSpec& spec, const S8Tile& tile, std::span<const AlignedBuffer> parts,
               std::byte* weights) {
  const ConvShape& s = spec.shape;
  const int64_t taps = s.kh * s.kw, depth = s.c / s.groups * taps;
  const std::byte* packed = parts[0].data();
  for_each_run(s, layout_in_elements(spec, tile), [&](int64_t o, int64_t first, int64_t at, int64_t count) {
    std::byte* to = weights + o * depth + first;
    for (int64_t i = 0; i < count; ++i) to[i * taps] = packed[at + i];
  });
}

S8Packed::S8Packed(const ConvSpec& spec, const ConvWeights& source, const S8Tile& tile)
    : layout_(s8_layout(spec, tile)),
      weights_(source.stored.empty() ? packed(spec, layout_, tile, static_cast<const int8_t*>(source.weights))
                                     : source.stored[0].share()),
      sums_(source.stored.empty()
                ? s8_column_sums(spec, static_cast<const int8_t*>(source.weights), places(layout_))
                : source.stored[1].share()),
      columns_(spec, spec.bias ? static_cast<const int32_t*>(source.bias) : nullptr, sums_.as<int32_t>(),
               places(layout_), tile.shifts_signed) {}

std::vector<std::span<const std::byte>> S8Packed::stored() const {
  return {{weights_.data(), static_cast<size_t>(weights_.bytes())},
          {sums_.data(), static_cast<size_t>(sums_.bytes())}};
}

}  // namespace narrow::kernels
