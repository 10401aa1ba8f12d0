#include "kernels/conv/s8_layout.h"

namespace narrow::kernels {

S8Layout s8_layout(const ConvSpec& spec, const S8Tile& tile) {
  const ConvShape& s = spec.shape;
  const int64_t group_c = s.c / s.groups;
  int64_t merged = 1;
  for (int64_t m = 2; m <= s.groups && m * group_c <= tile.merge; ++m)
    if (s.groups % m == 0) merged = m;
  S8Layout l;
  l.tile = tile;
  l.groups = s.groups / merged;
  l.channels = group_c * merged;
  l.outputs = s.oc / l.groups;
  l.panels = div_up(l.outputs, tile.columns);
  const bool row_is_contiguous = l.groups == 1 && s.dilation_w == 1;
  const bool row_is_denser =
      round_up(s.kw * l.channels, tile.depth) < s.kw * round_up(l.channels, tile.depth);
  l.taps_per_segment = row_is_contiguous && row_is_denser ? s.kw : 1;
  l.segments = s.kh * s.kw / l.taps_per_segment;
  l.segment_bytes = round_up(l.taps_per_segment * l.channels, tile.depth);
  return l;
}

S8Packed::S8Packed(const ConvSpec& spec, const ConvWeights& source, const S8Tile& tile)
    : layout_(s8_layout(spec, tile)),
      weights_(AlignedBuffer::zeroed(layout_.groups * layout_.panels * layout_.panel_bytes())),
      columns_(AlignedBuffer::zeroed(layout_.groups * layout_.padded_outputs() * 12)) {
  for (int64_t group = 0; group < layout_.groups; ++group)
    for (int64_t output = 0; output < layout_.outputs; ++output) pack_column(spec, source, group, output);
}

void S8Packed::pack_column(const ConvSpec& spec, const ConvWeights& source, int64_t group, int64_t output) {
  const ConvShape& s = spec.shape;
  const S8Layout& l = layout_;
  const int64_t group_c = s.c / s.groups, taps = s.kh * s.kw, o = group * l.outputs + output;
  const int64_t own_first =
      o / (s.oc / s.groups) * group_c - group * l.channels;  // its channels within the merged group
  const auto* from = static_cast<const int8_t*>(source.weights) + o * group_c * taps;
  const int64_t panel = output / l.tile.columns, column = output % l.tile.columns;
  int8_t* to = weights_.as<int8_t>() + (group * l.panels + panel) * l.panel_bytes();
  int64_t sum = 0;
  for (int64_t tap = 0; tap < taps; ++tap)
    for (int64_t c = 0; c < group_c; ++c) {
      const int64_t k =
          tap / l.taps_per_segment * l.segment_bytes + tap % l.taps_per_segment * l.channels + own_first + c;
      const int64_t step = k / l.tile.depth, quad = k % l.tile.depth / 4;
      const int64_t block = (step * (l.tile.columns / 16) + column / 16) * (l.tile.depth / 4) + quad;
      const int8_t w = from[c * taps + tap];
      to[block * 64 + column % 16 * 4 + k % 4] = w;
      sum += w;
    }
  const int64_t zero = spec.src_quant.zero_point + (l.tile.shifts_signed && spec.src == DType::s8 ? 128 : 0);
  const int64_t bias = spec.bias ? static_cast<const int32_t*>(source.bias)[o] : 0;
  const float w_scale = spec.weight_scale[spec.weight_scale.size() == 1 ? 0 : static_cast<size_t>(o)];
  const int64_t at = group * l.padded_outputs() + output, all = l.groups * l.padded_outputs();
  columns_.as<int32_t>()[at] =
      static_cast<int32_t>(static_cast<uint32_t>(static_cast<uint64_t>(bias - zero * sum)));
  columns_.as<float>()[all + at] = spec.src_quant.scale * w_scale;
  columns_.as<float>()[2 * all + at] =
      static_cast<float>(static_cast<double>(spec.src_quant.scale) * w_scale / spec.dst_quant.scale);
}

}  // namespace narrow::kernels
