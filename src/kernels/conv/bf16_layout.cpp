#include "kernels/conv/bf16_layout.h"

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

}  // namespace

Bf16K bf16_k(const ConvShape& s) {
  Bf16K k;
  if (s.groups > 1) {
    k.taps = s.kh * s.kw;
    k.steps_per_tap = 1;
    k.stored_c = k.k_block = round_up(s.c / s.groups, 2);
    return k;
  }
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

ConvLayout bf16_layout(const ConvShape& s, const Bf16K& k, int64_t planes, int64_t rows) {
  ConvLayout l;
  l.tile = {rows, 32, k.k_block * 2};
  l.groups = s.groups;
  l.group_bytes = k.stored_c * 2;
  l.outputs = s.oc / s.groups;
  l.panels = div_up(l.outputs, l.tile.columns);
  l.taps_per_segment = k.merged ? s.kw : 1;
  l.segments = k.taps;
  l.planes = planes;
  l.segment_bytes = k.steps_per_tap * k.k_block * 2;
  return l;
}

std::array<uint8_t, 64> bf16_config(int64_t k_block) {
  std::array<uint8_t, 64> config{};
  config[0] = 1;  // palette
  for (size_t tile = 0; tile < 8; ++tile) {
    const bool is_a = tile == 4 || tile == 5, is_b = tile >= 6;
    config.at(16 + 2 * tile) = static_cast<uint8_t>(is_a ? k_block * 2 : 64);
    config.at(48 + tile) = static_cast<uint8_t>(is_b ? k_block / 2 : 16);
  }
  return config;
}

}  // namespace narrow::kernels
