#include "kernels/pool/pool.h"

#include <algorithm>

#include "base/aligned.h"
#include "kernels/lanes/lanes.h"
#include "kernels/pool/max_rows.h"
#include "kernels/pool/window.h"

namespace narrow::kernels {
namespace {

/// The taps of one axis for one output coordinate.
struct Taps {
  int64_t first;   // source coordinate of the first tap inside the image
  int64_t count;   // inside the image
  int64_t padded;  // inside image and padding: what count_include_pad divides by
};

Taps taps_of(int64_t out, int64_t stride, int64_t pad, int64_t pad_after, int64_t dilation, int64_t k,
             int64_t extent) {
  const int64_t start = out * stride - pad;
  const int64_t skipped = start < 0 ? div_up(-start, dilation) : 0;
  const auto below = [&](int64_t limit) {
    return limit > start ? std::min(k, div_up(limit - start, dilation)) : 0;
  };
  return {start + skipped * dilation, std::max<int64_t>(0, below(extent) - skipped),
          below(extent + pad_after)};
}

/// Bytes of source rows that a task of run_bytes() reads: some microseconds.
constexpr int64_t kRowsTaskBytes = 128 << 10;

bool same_format(const Format& a, const Format& b) {
  if (a.type != b.type) return false;
  return !is_int8(a.type) || (a.quant.scale == b.quant.scale && a.quant.zero_point == b.quant.zero_point);
}

class Pooling {
 public:
  Pooling(const PoolSpec& spec, const void* src, void* dst, Isa isa)
      : spec_(spec),
        s_(spec.shape),
        src_(static_cast<const uint8_t*>(src)),
        dst_(static_cast<uint8_t*>(dst)),
        isa_(isa),
        src_bytes_(bytes_of(spec.src.type)),
        dst_bytes_(bytes_of(spec.dst.type)) {}

  /// Whether whole rows can be run_bytes(): maxima of bytes, a row of which fits L1 beside its sources.
  bool is_bytes() const {
    return spec_.kind == PoolKind::max && is_int8(spec_.src.type) && same_format(spec_.src, spec_.dst) &&
           isa_ >= Isa::avx2 && s_.w * s_.c <= kLine;
  }

  /// Output row `row` of n * oh.
  void run_bytes(int64_t row) const {
    const int64_t n = row / s_.oh, y = row % s_.oh, line_bytes = s_.w * s_.c;
    const Taps v = taps_of(y, s_.stride_h, s_.pad_top, s_.pad_bottom, s_.dilation_h, s_.kh, s_.h);
    if (v.count == 0) return run_row(row, 0, s_.c);
    alignas(64) uint8_t line[kLine];
    const bool is_signed = spec_.src.type == DType::s8;
    const auto max_of_rows = isa_ >= Isa::avx512 ? max_of_rows_avx512 : max_of_rows_avx2;
    const auto max_of_columns = isa_ >= Isa::avx512 ? max_of_columns_avx512 : max_of_columns_avx2;
    max_of_rows(is_signed, src_ + (n * s_.h + v.first) * line_bytes, s_.dilation_h * line_bytes, v.count,
                line_bytes, line);
    // Windows [begin, end) lie inside the image.
    const int64_t reach = (s_.kw - 1) * s_.dilation_w, last = s_.w - 1 - reach + s_.pad_left;
    const int64_t begin = std::min(div_up(std::max<int64_t>(s_.pad_left, 0), s_.stride_w), s_.ow),
                  end = last < 0 ? begin : std::clamp(last / s_.stride_w + 1, begin, s_.ow);
    const auto columns = [&](int64_t x, int64_t pixels, int64_t first, int64_t taps) {
      max_of_columns(is_signed, {s_.c, pixels, s_.stride_w * s_.c, taps, s_.dilation_w * s_.c},
                     line + first * s_.c, dst_ + (row * s_.ow + x) * s_.c);
    };
    for (int64_t x = 0; x < s_.ow; ++x) {
      if (x == begin && end > begin) {
        columns(x, end - begin, x * s_.stride_w - s_.pad_left, s_.kw);
        x = end - 1;
        continue;
      }
      const Taps h = taps_of(x, s_.stride_w, s_.pad_left, s_.pad_right, s_.dilation_w, s_.kw, s_.w);
      if (h.count > 0)
        columns(x, 1, h.first, h.count);
      else
        run_pixel(row, x, v, 0, s_.c);
    }
  }

  /// Output row `row` of n * oh, channels [c0, c1).
  void run_row(int64_t row, int64_t c0, int64_t c1) const {
    const Taps v = taps_of(row % s_.oh, s_.stride_h, s_.pad_top, s_.pad_bottom, s_.dilation_h, s_.kh, s_.h);
    for (int64_t x = 0; x < s_.ow; ++x) run_pixel(row, x, v, c0, c1);
  }

 private:
  static constexpr int64_t kLine = 16 << 10;

  /// `v`: the row's taps.
  void run_pixel(int64_t row, int64_t x, const Taps& v, int64_t c0, int64_t c1) const {
    const Taps h = taps_of(x, s_.stride_w, s_.pad_left, s_.pad_right, s_.dilation_w, s_.kw, s_.w);
    const bool any = v.count > 0 && h.count > 0;
    const int64_t pixel = any ? (row / s_.oh * s_.h + v.first) * s_.w + h.first : 0;
    PoolWindow window{nullptr,
                      s_.dilation_h * s_.w * s_.c * src_bytes_,
                      s_.dilation_w * s_.c * src_bytes_,
                      any ? v.count : 0,
                      any ? h.count : 0,
                      0};
    for (int64_t c = c0; c < c1; c += kRun) {
      window.channels = std::min(kRun, c1 - c);
      window.src = src_ + (pixel * s_.c + c) * src_bytes_;
      void* out = dst_ + ((row * s_.ow + x) * s_.c + c) * dst_bytes_;
      if (spec_.kind == PoolKind::max)
        max(window, out);
      else
        average(window, spec_.count_include_pad ? v.padded * h.padded : window.rows * window.taps, out);
    }
  }

  void max(const PoolWindow& window, void* out) const {
    const auto kernel = isa_ >= Isa::avx512 ? pool_max_avx512 : pool_max_plain;
    if (same_format(spec_.src, spec_.dst)) {
      kernel(spec_.src.type, window, out);
      return;
    }
    alignas(64) float stored[kRun], real[kRun];
    kernel(spec_.src.type, window, stored);
    load_run(spec_.src, stored, 0, window.channels, real, isa_);
    store_run(spec_.dst, real, out, 0, window.channels, isa_);
  }

  void average(const PoolWindow& window, int64_t divisor, void* out) const {
    alignas(64) float buffer[kRun];
    float* real = run_to_f32(spec_.dst, out, 0, buffer);
    PoolSum sum{spec_.src.type, spec_.src.quant.zero_point, 1};
    if (divisor == 0 || window.rows * window.taps == 0) {
      std::fill(real, real + window.channels, 0.0F);
    } else {
      const double scale = static_cast<double>(spec_.src.quant.scale) / static_cast<double>(divisor);
      const bool integers = is_int8(spec_.src.type);
      if (!integers) sum.factor = static_cast<float>(divisor);
      if (integers && !is_int8(spec_.dst.type)) sum.factor = static_cast<float>(scale);
      (isa_ >= Isa::avx512 ? pool_sum_avx512 : pool_sum_plain)(sum, window, real);
      if (integers && is_int8(spec_.dst.type)) {
        const LaneQuant quant{1, static_cast<float>(scale / spec_.dst.quant.scale),
                              spec_.dst.quant.zero_point};
        store_lanes(quant, real, window.channels, out);
        return;
      }
    }
    if (spec_.dst.type != DType::f32) store_run(spec_.dst, real, out, 0, window.channels, isa_);
  }

  /// store with the multiplier in place of 1 / scale.
  void store_lanes(const LaneQuant& quant, const float* real, int64_t n, void* out) const {
    const StoreLanes store = isa_ >= Isa::avx512 ? store_lanes_avx512(spec_.dst.type)
                             : isa_ >= Isa::avx2 ? store_lanes_avx2(spec_.dst.type)
                                                 : store_lanes_plain(spec_.dst.type);
    store(real, n, quant, out);
  }

  const PoolSpec& spec_;
  const PoolShape& s_;
  const uint8_t* src_;
  uint8_t* dst_;
  Isa isa_;
  int64_t src_bytes_, dst_bytes_;
};

}  // namespace

void pool(const PoolSpec& spec, const void* src, void* dst, Isa isa, ThreadPool& threads) {
  const PoolShape& s = spec.shape;
  const int64_t rows = s.n * s.oh;
  if (rows == 0 || s.ow == 0 || s.c == 0) return;
  // Few rows (global pooling): channels are split too, in whole registers of bytes.
  const int64_t wanted = 4 * threads.threads();
  const int64_t blocks = rows >= wanted ? 1 : std::min(div_up(s.c, 64), div_up(wanted, rows));
  const int64_t block = round_up(div_up(s.c, blocks), 64), pieces = div_up(s.c, block);
  const int64_t taps_per_piece = std::max<int64_t>(1, s.ow * block * s.kh * s.kw);
  const Pooling pooling(spec, src, dst, isa);
  if (pieces == 1 && pooling.is_bytes())
    return parallel_for(threads, rows, std::max<int64_t>(1, kRowsTaskBytes / (s.w * s.c * s.kh)),
                        [&](int64_t begin, int64_t end) {
                          for (int64_t row = begin; row < end; ++row) pooling.run_bytes(row);
                        });
  parallel_for(threads, rows * pieces, std::max<int64_t>(1, 64 * 1024 / taps_per_piece),
               [&](int64_t begin, int64_t end) {
                 for (int64_t i = begin; i < end; ++i) {
                   const int64_t c0 = i % pieces * block;
                   pooling.run_row(i / pieces, c0, std::min(s.c, c0 + block));
                 }
               });
}

}  // namespace narrow::kernels
