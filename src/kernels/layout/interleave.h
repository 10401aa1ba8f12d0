// Rows of few channels, pixel by pixel side by side: kernel rows that share a step of AMX, planes of an
// image.
#pragma once

#include <array>
#include <cstdint>

namespace narrow::kernels {

/// Rows that share a step; two gain less than interleaving them costs.
constexpr int64_t kMinRows = 3, kMaxRows = 4;

/// How `count` (kMinRows to kMaxRows) rows of pixels of c bytes become one, count * c <= 64.
struct Interleave {
  int64_t count = 0, c = 0, at_once = 0;  // at_once: pixels a register of 64 bytes holds
  std::array<uint8_t, 64> order{};        // where a byte comes from, row i beginning at 32 i
};

Interleave interleave_plan(int64_t count, int64_t c);
/// to[x][i][channel] = rows[i][x][channel] for x < pixels; `fill` where a row is null.
void interleave_avx512vnni(const Interleave& plan, const uint8_t* const* rows, int64_t pixels, uint8_t fill,
                           uint8_t* to);

}  // namespace narrow::kernels
