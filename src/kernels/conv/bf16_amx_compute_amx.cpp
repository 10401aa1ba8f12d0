// bf16 x bf16 -> f32 on 32x32 blocks: two A tiles times two B tiles, four accumulators (52 cycles of latency
// hidden by 4 x 16 cycles of work). The order of K is fixed, so a result never depends on how blocks are
// dealt to threads.
#include "kernels/conv/bf16_amx.h"
#include "kernels/conv/dw_half_lanes_avx512.h"

namespace narrow::kernels {
namespace {

/// Prefetch this many bytes ahead in B while a panel is read for the first time.
constexpr int64_t kPrefetchBytes = 8192;

struct Block {
  const uint16_t* a;  // first position
  const uint16_t* b;  // panel
  int64_t rows;
  bool first_touch;  // B comes from far away
};

/// Tiles 0-3 = A[rows, K] x B[K, 32]; kLower: more than 16 rows, kRight: more than 16 columns.
template <bool kLower, bool kRight>
void multiply(const Bf16AmxTask& t, const Block& block) {
  _tile_zero(0);
  if (kRight) _tile_zero(1);
  if (kLower) _tile_zero(2);
  if (kLower && kRight) _tile_zero(3);
  const int64_t a_stride = t.row_stride * 2, tile_bytes = t.k_block * 32;
  const char* b = reinterpret_cast<const char*>(block.b);
  for (int64_t tap = 0; tap < t.tap_count; ++tap) {
    const char* a = reinterpret_cast<const char*>(block.a + t.taps[tap]);
    for (int64_t step = 0; step < t.steps_per_tap; ++step) {
      if (block.first_touch)
        for (int64_t i = 0; i < 2 * tile_bytes; i += 64) _mm_prefetch(b + kPrefetchBytes + i, _MM_HINT_T0);
      _tile_loadd(6, b, 64);
      _tile_loadd(4, a, a_stride);
      _tile_dpbf16ps(0, 4, 6);
      if (kLower) _tile_loadd(5, a + 16 * a_stride, a_stride);
      if (kLower) _tile_dpbf16ps(2, 5, 6);
      if (kRight) _tile_loadd(7, b + tile_bytes, 64);
      if (kRight) _tile_dpbf16ps(1, 4, 7);
      if (kLower && kRight) _tile_dpbf16ps(3, 5, 7);
      a += t.k_block * 2;
      b += 2 * tile_bytes;
    }
  }
}

/// acc [32 positions][32 channels] of image position `q` onwards, to dst. Types are arguments so that the
/// common ones become constants.
NARROW_INLINE void finish(const Bf16AmxTask& t, const float* acc, int64_t image, int64_t q, int64_t rows,
                          int64_t channel, DType dst, DType residual, bool plain) {
  const Bf16AmxOutput& out = t.out;
  const IntegerStore integer{1.0F / out.dst_quant.scale, out.dst_quant.zero_point, out.low, out.high};
  const __m512 low = _mm512_set1_ps(out.activation.alpha), high = _mm512_set1_ps(out.activation.beta);
  const int64_t live = out.oc - channel;
  const __mmask16 masks[2] = {first_lanes16(live), first_lanes16(live > 16 ? live - 16 : 0)};
  const __m512 bias[2] = {_mm512_loadu_ps(out.bias + channel), _mm512_loadu_ps(out.bias + channel + 16)};
  int64_t y = q / t.flat_width, x = q % t.flat_width;
  for (int64_t row = 0; row < rows; ++row, ++x) {
    if (x == t.flat_width) x = 0, ++y;
    if (x >= t.ow) continue;
    const int64_t at = ((image * t.oh + y) * t.ow + x) * out.oc + channel;
    for (int half = 0; half < 2; ++half) {
      if (masks[half] == 0) break;
      __m512 r = _mm512_add_ps(_mm512_load_ps(acc + row * 32 + half * 16), bias[half]);
      r = add_residual_lanes(residual, out.residual, at + half * 16, masks[half], out.residual_quant, r);
      r = plain ? _mm512_min_ps(high, _mm512_max_ps(low, r)) : vapply(out.activation, r);
      store_lanes(dst, out.dst, at + half * 16, masks[half], r, integer);
    }
  }
}

void finish_block(const Bf16AmxTask& t, const float* acc, int64_t image, int64_t q, int64_t rows,
                  int64_t channel) {
  const bool bf16_clip = t.out.dst_type == DType::bf16 && t.out.activation.kind == Act::clip;
  if (bf16_clip && t.out.residual_type == DType::undefined)
    finish(t, acc, image, q, rows, channel, DType::bf16, DType::undefined, true);
  else if (bf16_clip && t.out.residual_type == DType::bf16)
    finish(t, acc, image, q, rows, channel, DType::bf16, DType::bf16, true);
  else
    finish(t, acc, image, q, rows, channel, t.out.dst_type, t.out.residual_type, false);
}

void compute_block(const Bf16AmxTask& t, const Block& block, int64_t image, int64_t q, int64_t channel) {
  alignas(64) float acc[32 * 32];
  const bool lower = block.rows > 16, right = t.out.oc - channel > 16;
  if (lower && right)
    multiply<true, true>(t, block);
  else if (lower)
    multiply<true, false>(t, block);
  else if (right)
    multiply<false, true>(t, block);
  else
    multiply<false, false>(t, block);
  _tile_stored(0, acc, 128);
  if (right) _tile_stored(1, acc + 16, 128);
  if (lower) _tile_stored(2, acc + 16 * 32, 128);
  if (lower && right) _tile_stored(3, acc + 16 * 32 + 16, 128);
  finish_block(t, acc, image, q, block.rows, channel);
}

}  // namespace

void bf16_amx_compute(const Bf16AmxTask& t) {
  const int64_t blocks_per_image = (t.positions + 31) / 32;
  const int64_t blocks = t.block_end - t.block_begin, panels = t.panel_end - t.panel_begin;
  const int64_t panel_elements = t.tap_count * t.steps_per_tap * t.k_block * 32;
  const uint8_t* loaded = nullptr;
  for (int64_t i = 0; i < blocks * panels; ++i) {
    const int64_t block = t.block_begin + (t.panels_outside ? i % blocks : i / panels);
    const int64_t panel = t.panel_begin + (t.panels_outside ? i / blocks : i % panels);
    const int64_t image = block / blocks_per_image, q = block % blocks_per_image * 32;
    const int64_t rows = t.positions - q < 32 ? t.positions - q : 32;
    const uint8_t* config = rows == 32 ? t.full_config : t.tail_config;
    if (config != loaded) _tile_loadconfig(config);
    loaded = config;
    const bool first_touch = t.panels_outside && block == t.block_begin;
    const Block b{t.a + image * t.image_stride + q * t.row_stride, t.b + panel * panel_elements, rows,
                  first_touch};
    compute_block(t, b, image, q, panel * 32);
  }
  _tile_release();
}

}  // namespace narrow::kernels
