#include "kernels/conv/bf16_amx_layout.h"

#include <algorithm>
#include <limits>

#include "base/aligned.h"

namespace narrow::kernels {
namespace {

/// The fewest equal steps of an even length in 16..32 (or one shorter step) that make up `length`; a huge
/// number when there are none.
int64_t steps_for(int64_t length) {
  for (int64_t steps = div_up(length, 32); steps <= 2 * div_up(length, 32); ++steps)
    if (length % steps == 0 && length / steps % 2 == 0) return steps;
  return std::numeric_limits<int32_t>::max();
}

/// The narrowest row, in output columns, whose window reads nothing false when it runs over the row's end:
/// what lies there is the next row's left padding, which must stand for this row's right padding.
int64_t narrowest_row(const ConvShape& s, int64_t column_stride) {
  const int64_t needed = (s.ow - 1) * column_stride + (s.kw - 1) * s.dilation_w + 1;
  const auto is_padding = [&](int64_t column) { return column < s.pad_left || column >= s.pad_left + s.w; };
  for (int64_t width = s.ow;; ++width) {
    const int64_t stored = width * column_stride;
    bool shared = needed <= 2 * stored;
    for (int64_t column = stored; shared && column < needed; ++column)
      shared = is_padding(column) && is_padding(column - stored);
    if (shared) return width;
  }
}

}  // namespace

Bf16AmxK bf16_amx_k(const ConvShape& s) {
  Bf16AmxK k;
  k.merged = s.dilation_w == 1 || s.kw == 1;
  k.taps = k.merged ? s.kh : s.kh * s.kw;
  const int64_t width = k.merged ? s.kw : 1;
  int64_t best = s.c;
  for (int64_t c = s.c + 1; c <= round_up(s.c, 32); ++c)
    if (steps_for(width * c) < steps_for(width * best)) best = c;
  // Up to half more steps are cheaper than a copy of the source.
  k.stored_c = 2 * steps_for(width * s.c) <= 3 * steps_for(width * best) ? s.c : best;
  k.steps_per_tap = steps_for(width * k.stored_c);
  k.k_block = width * k.stored_c / k.steps_per_tap;
  return k;
}

Bf16AmxSource bf16_amx_source(const ConvShape& s, const Bf16AmxK& k, DType src) {
  Bf16AmxSource r;
  r.direct = s.is_pointwise() && src == DType::bf16 && k.stored_c == s.c;
  if (r.direct) {
    r.images = 1;
    r.positions = r.flat_width = s.n * s.h * s.w;
    r.position_stride = s.c;
    r.taps = {0};
    return r;
  }
  r.images = s.n;
  r.pixel_step = s.kw == 1 ? s.stride_w : 1;  // columns between are never read
  r.column_stride = s.kw == 1 ? 1 : s.stride_w;
  r.flat_width = s.kw == 1 ? s.ow : narrowest_row(s, r.column_stride);
  r.positions = s.oh * r.flat_width - (r.flat_width - s.ow);
  r.position_stride = r.column_stride * k.stored_c;
  r.row_elements = r.flat_width * r.position_stride;
  const int64_t padded_rows = (s.oh - 1) * s.stride_h + (s.kh - 1) * s.dilation_h + 1;
  r.rows_per_set = div_up(padded_rows, s.stride_h);
  // One kernel width of zeros after the last row.
  r.image_elements = round_up(
      s.stride_h * r.rows_per_set * r.row_elements + ((s.kw - 1) * s.dilation_w + 1) * k.stored_c, 32);
  for (int64_t t = 0; t < k.taps; ++t) {
    const int64_t y = (k.merged ? t : t / s.kw) * s.dilation_h, x = k.merged ? 0 : t % s.kw * s.dilation_w;
    const int64_t row = y % s.stride_h * r.rows_per_set + y / s.stride_h;
    r.taps.push_back(row * r.row_elements + x * k.stored_c);
  }
  return r;
}

std::array<uint8_t, 64> bf16_amx_config(int64_t rows, int64_t k_block) {
  std::array<uint8_t, 64> config{};
  config[0] = 1;  // palette
  const auto tile = [&](size_t index, int64_t tile_rows, int64_t row_bytes) {
    if (tile_rows <= 0) return;
    config.at(16 + 2 * index) = static_cast<uint8_t>(row_bytes);
    config.at(48 + index) = static_cast<uint8_t>(tile_rows);
  };
  const int64_t upper = std::min<int64_t>(rows, 16), lower = rows - upper;
  for (size_t i = 0; i < 2; ++i) {
    tile(i, upper, 64);
    tile(2 + i, lower, 64);
    tile(6 + i, k_block / 2, 64);
  }
  tile(4, upper, k_block * 2);
  tile(5, lower, k_block * 2);
  return config;
}

}  // namespace narrow::kernels
