// bf16 x bf16 -> f32 on 32x32 blocks: two A tiles times two B tiles, four accumulators (52 cycles of latency
// hidden by 4 x 16 cycles of work). The order of K is fixed, so a result never depends on how blocks are
// dealt to threads.
//
// Tile loads occupy the front end while the vector units starve: the block before is finished in between,
// some rows after each load.
#include "kernels/conv/bf16_amx.h"
#include "kernels/conv/narrow_out_avx512.h"

namespace narrow::kernels {
namespace {

struct Block {
  const uint16_t* a;  // first position
  const uint16_t* b;  // panel
  int64_t rows;
};

/// Walks the positions of a block and gives the dst element of each that is an output.
struct Positions {
  int64_t x, at, ow, flat_width, oc;  // column, and the element of its first channel

  Positions(const Bf16AmxTask& t, int64_t image, int64_t q)
      : x(q % t.flat_width),
        at(((image * t.oh + q / t.flat_width) * t.ow + x) * t.out.oc),
        ow(t.ow),
        flat_width(t.flat_width),
        oc(t.out.oc) {}
  /// The first element of the current position's channels, or -1 where the row is only padding.
  int64_t element() const { return x < ow ? at : -1; }
  void advance() {
    at += oc;
    if (++x == flat_width) x = 0, at -= (flat_width - ow) * oc;
  }
};

/// A block of sums [32 positions][32 channels] that is computed and not yet stored.
struct Pending {
  const float* acc;
  Positions at;
  int64_t rows, channel;
};

/// bf16 from sums with bounds only, 32 channels in one store; a few rows at a time.
template <bool kResidual>
class Bf16Rows {
 public:
  Bf16Rows(const Bf16AmxTask& t, const Pending& p)
      : low_(_mm512_set1_ps(t.out.activation.alpha)),
        high_(_mm512_set1_ps(t.out.activation.beta)),
        bias0_(_mm512_load_ps(t.out.bias + p.channel)),
        bias1_(_mm512_load_ps(t.out.bias + p.channel + 16)),
        live_(first_lanes32(t.out.oc - p.channel)),
        residual_(static_cast<const uint16_t*>(t.out.residual) + p.channel),
        dst_(static_cast<uint16_t*>(t.out.dst) + p.channel),
        acc_(p.acc),
        at_(p.at),
        left_(p.rows) {}

  inline __attribute__((always_inline)) void next(int64_t rows) {
    for (; rows > 0 && left_ > 0; --rows) row();
  }
  inline __attribute__((always_inline)) void rest() {
    while (left_ > 0) row();
  }

 private:
  inline __attribute__((always_inline)) void row() {
    const int64_t i = at_.element();
    if (i >= 0) {
      __m512 r0 = _mm512_add_ps(_mm512_load_ps(acc_), bias0_),
             r1 = _mm512_add_ps(_mm512_load_ps(acc_ + 16), bias1_);
      if (kResidual) {
        r0 = _mm512_add_ps(r0, Simd512::load_bf16(residual_ + i, static_cast<__mmask16>(live_)));
        r1 = _mm512_add_ps(r1, Simd512::load_bf16(residual_ + i + 16, static_cast<__mmask16>(live_ >> 16)));
      }
      r0 = _mm512_min_ps(high_, _mm512_max_ps(low_, r0));
      r1 = _mm512_min_ps(high_, _mm512_max_ps(low_, r1));
      _mm512_mask_storeu_epi16(dst_ + i, live_, reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(r1, r0)));
    }
    at_.advance();
    acc_ += 32;
    --left_;
  }

  __m512 low_, high_, bias0_, bias1_;
  __mmask32 live_;
  const uint16_t* residual_;
  uint16_t* dst_;
  const float* acc_;
  Positions at_;
  int64_t left_;
};

/// Finishes nothing.
struct NoRows {
  void next(int64_t) {}
  void rest() {}
};

/// Any types and activation.
void finish_any(const Bf16AmxTask& t, const Pending& p) {
  const Bf16AmxOutput& out = t.out;
  const IntegerStore integer{1.0F / out.dst_quant.scale, out.dst_quant.zero_point, out.low, out.high};
  const float* acc = p.acc;
  Positions at = p.at;
  for (int64_t row = 0; row < p.rows; ++row, at.advance(), acc += 32) {
    if (at.element() < 0) continue;
    for (int64_t half = 0; half < 32; half += 16) {
      const __mmask16 live = first_lanes16(out.oc - p.channel - half);
      if (live == 0) break;
      const int64_t i = at.element() + p.channel + half;
      __m512 r = _mm512_add_ps(_mm512_load_ps(acc + half), _mm512_load_ps(out.bias + p.channel + half));
      r = add_residual_lanes(out.residual_type, out.residual, i, live, out.residual_quant, r);
      store_lanes(out.dst_type, out.dst, i, live, vapply(out.activation, r), integer);
    }
  }
}

/// A tile store that waits for more than about 32 steps costs about a thousand cycles, any store in between
/// prevents it (docs/performance.md): so B's tile goes to where the sums will.
constexpr int64_t kStepsWithoutStore = 28, kStoreEvery = 16;

/// acc = A[rows, K] x B[K, 32]; kLower: more than 16 rows, kRight: more than 16 columns. Finishes the block
/// before, whose sums lie in acc, on the way.
template <bool kLower, bool kRight, class Rows>
void multiply(const Bf16AmxTask& t, const Block& block, Rows before, float* acc) {
  const int64_t steps = t.tap_count * t.steps_per_tap, rows = steps <= 2 ? 4 : steps <= 4 ? 2 : 1;
  _tile_zero(0);
  if (kRight) _tile_zero(1);
  if (kLower) _tile_zero(2);
  if (kLower && kRight) _tile_zero(3);
  const int64_t a_stride = t.row_stride * 2, tile_bytes = t.k_block * 32;
  const bool stores = steps > kStepsWithoutStore;
  int64_t done = 0;
  const char* b = reinterpret_cast<const char*>(block.b);
  for (int64_t tap = 0; tap < t.tap_count; ++tap) {
    const char* a = reinterpret_cast<const char*>(block.a + t.taps[tap]);
    for (int64_t step = 0; step < t.steps_per_tap; ++step, ++done) {
      if (stores && done % kStoreEvery == kStoreEvery - 1) _tile_stored(6, acc, 64);
      _tile_loadd(6, b, 64);
      before.next(rows);
      _tile_loadd(4, a, a_stride);
      before.next(rows);
      _tile_dpbf16ps(0, 4, 6);
      if (kLower) _tile_loadd(5, a + 16 * a_stride, a_stride);
      before.next(rows);
      if (kLower) _tile_dpbf16ps(2, 5, 6);
      if (kRight) _tile_loadd(7, b + tile_bytes, 64);
      before.next(rows);
      if (kRight) _tile_dpbf16ps(1, 4, 7);
      if (kLower && kRight) _tile_dpbf16ps(3, 5, 7);
      a += t.k_block * 2;
      b += 2 * tile_bytes;
    }
  }
  before.rest();
  _tile_stored(0, acc, 128);
  if (kRight) _tile_stored(1, acc + 16, 128);
  if (kLower) _tile_stored(2, acc + 16 * 32, 128);
  if (kLower && kRight) _tile_stored(3, acc + 16 * 32 + 16, 128);
}

template <class Rows>
void multiply_any(const Bf16AmxTask& t, const Block& block, bool right, const Rows& before, float* acc) {
  const bool lower = block.rows > 16;
  if (lower && right)
    multiply<true, true>(t, block, before, acc);
  else if (lower)
    multiply<true, false>(t, block, before, acc);
  else if (right)
    multiply<false, true>(t, block, before, acc);
  else
    multiply<false, false>(t, block, before, acc);
}

enum class Finish { bf16, bf16_residual, any };

Finish finish_of(const Bf16AmxOutput& out) {
  if (out.dst_type != DType::bf16 || out.activation.kind != Act::clip) return Finish::any;
  if (out.residual_type == DType::undefined) return Finish::bf16;
  return out.residual_type == DType::bf16 ? Finish::bf16_residual : Finish::any;
}

/// Blocks of a task, one after the other.
class Walk {
 public:
  explicit Walk(const Bf16AmxTask& task)
      : t_(task),
        finish_(finish_of(task.out)),
        panel_elements_(task.tap_count * task.steps_per_tap * task.k_block * 32),
        before_{acc_, Positions(task, 0, 0), 0, 0} {}

  void block(int64_t image, int64_t q, int64_t panel) {
    const int64_t rows = t_.positions - q < 32 ? t_.positions - q : 32;
    const uint8_t* config = rows == 32 ? t_.full_config : t_.tail_config;
    if (config != loaded_) _tile_loadconfig(config);
    loaded_ = config;
    const Block b{t_.a + image * t_.image_stride + q * t_.row_stride, t_.b + panel * panel_elements_, rows};
    const bool right = t_.out.oc - panel * 32 > 16;
    if (finish_ == Finish::bf16) {
      multiply_any(t_, b, right, Bf16Rows<false>(t_, before_), acc_);
    } else if (finish_ == Finish::bf16_residual) {
      multiply_any(t_, b, right, Bf16Rows<true>(t_, before_), acc_);
    } else {
      multiply_any(t_, b, right, NoRows{}, acc_);
    }
    before_ = {acc_, Positions(t_, image, q), rows, panel * 32};
    if (finish_ == Finish::any) store();
  }

  /// What is computed and not yet stored.
  void store() {
    if (finish_ == Finish::bf16_residual)
      Bf16Rows<true>(t_, before_).rest();
    else if (finish_ == Finish::bf16)
      Bf16Rows<false>(t_, before_).rest();
    else
      finish_any(t_, before_);
    before_.rows = 0;
  }

 private:
  alignas(64) float acc_[32 * 32];
  const Bf16AmxTask& t_;
  Finish finish_;
  int64_t panel_elements_;
  Pending before_;
  const uint8_t* loaded_ = nullptr;
};

}  // namespace

void bf16_amx_compute(const Bf16AmxTask& t) {
  const int64_t blocks_per_image = (t.positions + 31) / 32;
  Walk walk(t);
  for (int64_t first = t.block_begin; first < t.block_end; first += t.group) {
    const int64_t end = first + t.group < t.block_end ? first + t.group : t.block_end;
    const int64_t first_image = first / blocks_per_image, first_q = first % blocks_per_image * 32;
    for (int64_t panel = t.panel_begin; panel < t.panel_end; ++panel) {
      int64_t image = first_image, q = first_q;
      for (int64_t block = first; block < end; ++block) {
        walk.block(image, q, panel);
        q += 32;
        if (q >= t.positions) q = 0, ++image;
      }
    }
  }
  walk.store();
  _tile_release();
}

}  // namespace narrow::kernels
