// bf16 x bf16 -> f32 on 32x32 blocks: two A tiles times two B tiles, four accumulators (52 cycles of latency
// hidden by 4 x 16 cycles of work). The order of K is fixed, so a result never depends on how blocks are
// dealt to threads.
#include "kernels/conv/bf16_amx.h"
#include "kernels/conv/narrow_out_avx512.h"

namespace narrow::kernels {
namespace {

struct Block {
  const uint16_t* a;  // first position
  const uint16_t* b;  // panel
  int64_t rows;
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

/// Walks the positions of a block and gives the dst element of each that is an output.
struct Positions {
  int64_t x, y, image_row;
  const Bf16AmxTask& t;

  Positions(const Bf16AmxTask& task, int64_t image, int64_t q)
      : x(q % task.flat_width), y(q / task.flat_width), image_row(image * task.oh), t(task) {}
  /// The first element of the current position's channels, or -1 where the row is only padding.
  int64_t element() const { return x < t.ow ? ((image_row + y) * t.ow + x) * t.out.oc : -1; }
  void advance() {
    if (++x == t.flat_width) x = 0, ++y;
  }
};

/// bf16 from sums with bounds only, 32 channels in one store.
template <bool kResidual>
void finish_bf16(const Bf16AmxTask& t, const float* acc, Positions at, int64_t rows, int64_t channel) {
  const __m512 low = _mm512_set1_ps(t.out.activation.alpha), high = _mm512_set1_ps(t.out.activation.beta);
  const __m512 bias0 = _mm512_load_ps(t.out.bias + channel),
               bias1 = _mm512_load_ps(t.out.bias + channel + 16);
  const __mmask32 live = first_lanes32(t.out.oc - channel);
  const uint16_t* residual = static_cast<const uint16_t*>(t.out.residual) + channel;
  uint16_t* dst = static_cast<uint16_t*>(t.out.dst) + channel;
  for (int64_t row = 0; row < rows; ++row, at.advance(), acc += 32) {
    const int64_t i = at.element();
    if (i < 0) continue;
    __m512 r0 = _mm512_add_ps(_mm512_load_ps(acc), bias0),
           r1 = _mm512_add_ps(_mm512_load_ps(acc + 16), bias1);
    if (kResidual) {
      r0 = _mm512_add_ps(r0, Simd512::load_bf16(residual + i, static_cast<__mmask16>(live)));
      r1 = _mm512_add_ps(r1, Simd512::load_bf16(residual + i + 16, static_cast<__mmask16>(live >> 16)));
    }
    r0 = _mm512_min_ps(high, _mm512_max_ps(low, r0));
    r1 = _mm512_min_ps(high, _mm512_max_ps(low, r1));
    _mm512_mask_storeu_epi16(dst + i, live, reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(r1, r0)));
  }
}

/// Any types and activation.
void finish_any(const Bf16AmxTask& t, const float* acc, Positions at, int64_t rows, int64_t channel) {
  const Bf16AmxOutput& out = t.out;
  const IntegerStore integer{1.0F / out.dst_quant.scale, out.dst_quant.zero_point, out.low, out.high};
  for (int64_t row = 0; row < rows; ++row, at.advance(), acc += 32) {
    if (at.element() < 0) continue;
    for (int64_t half = 0; half < 32; half += 16) {
      const __mmask16 live = first_lanes16(out.oc - channel - half);
      if (live == 0) break;
      const int64_t i = at.element() + channel + half;
      __m512 r = _mm512_add_ps(_mm512_load_ps(acc + half), _mm512_load_ps(out.bias + channel + half));
      r = add_residual_lanes(out.residual_type, out.residual, i, live, out.residual_quant, r);
      store_lanes(out.dst_type, out.dst, i, live, vapply(out.activation, r), integer);
    }
  }
}

/// acc [32 positions][32 channels] of an image's position `q` onwards, to dst.
void finish_block(const Bf16AmxTask& t, const float* acc, const Positions& at, int64_t rows,
                  int64_t channel) {
  const bool bf16_clip = t.out.dst_type == DType::bf16 && t.out.activation.kind == Act::clip;
  if (bf16_clip && t.out.residual_type == DType::undefined)
    finish_bf16<false>(t, acc, at, rows, channel);
  else if (bf16_clip && t.out.residual_type == DType::bf16)
    finish_bf16<true>(t, acc, at, rows, channel);
  else
    finish_any(t, acc, at, rows, channel);
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
  finish_block(t, acc, Positions(t, image, q), block.rows, channel);
}

}  // namespace

void bf16_amx_compute(const Bf16AmxTask& t) {
  const int64_t blocks_per_image = (t.positions + 31) / 32, panels = t.panel_end - t.panel_begin;
  const int64_t panel_elements = t.tap_count * t.steps_per_tap * t.k_block * 32;
  const uint8_t* loaded = nullptr;
  const int64_t steps = (t.block_end - t.block_begin) * panels;
  for (int64_t i = 0; i < steps; ++i) {
    // Groups of blocks; of each group every panel meets all blocks before the next one.
    const int64_t first = t.block_begin + i / (t.group * panels) * t.group, within = i % (t.group * panels);
    const int64_t blocks = t.block_end - first < t.group ? t.block_end - first : t.group;
    const int64_t block = first + within % blocks, panel = t.panel_begin + within / blocks;
    const int64_t image = block / blocks_per_image, q = block % blocks_per_image * 32;
    const int64_t rows = t.positions - q < 32 ? t.positions - q : 32;
    const uint8_t* config = rows == 32 ? t.full_config : t.tail_config;
    if (config != loaded) _tile_loadconfig(config);
    loaded = config;
    const Block b{t.a + image * t.image_stride + q * t.row_stride, t.b + panel * panel_elements, rows};
    compute_block(t, b, image, q, panel * 32);
  }
  _tile_release();
}

}  // namespace narrow::kernels
