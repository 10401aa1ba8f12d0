// The int8 kernel for any processor: 4 x 16 sums in plain loops, and the general way out, element by element.
#include <cmath>

#include "kernels/byte_function_fit.h"
#include "kernels/conv/s8_task.h"
#include "kernels/conv/walk_loop.h"
#include "kernels/lanes/element.h"

namespace narrow::kernels {
namespace {

struct Plain {
  using Args = S8Args;
  using Sum = int32_t;
  static constexpr int64_t kRows = 4, kColumns = 16;
  static int64_t cover(int64_t n) { return n; }
  static void begin(const S8Args&) {}
  static void end() {}
  static void tile(const S8Args& g, const uint8_t* a, const int8_t* b, int64_t at, int64_t rows,
                   const S8Pending& pending, int32_t* c) {
    finish(g, *pending.rows, pending.sums);
    for (int64_t m = 0; m < rows; ++m) {
      uint32_t sums[16];  // modulo 2^32: the raw bytes' sum may pass 2^31 on the way
      for (int64_t n = 0; n < 16; ++n) sums[n] = static_cast<uint32_t>(g.finish.start[at + n]);
      const int8_t* w = b;
      for (int64_t segment = 0; segment < g.segments; ++segment) {
        const uint8_t* run = a + m * g.a_stride + g.offsets[segment];
        for (int64_t k = 0; k < g.segment_bytes; k += 4, w += 64) add_four(g.is_signed, run + k, w, sums);
      }
      for (int64_t n = 0; n < 16; ++n) c[m * 16 + n] = static_cast<int32_t>(sums[n]);
    }
  }
  static void finish(const S8Args& g, const ConvRows& rows, const S8Sums& sums) {
    s8_finish_plain(g.finish, rows, sums);
  }

 private:
  static void add_four(bool is_signed, const uint8_t* bytes, const int8_t* w, uint32_t* sums) {
    int32_t x[4];
    for (int i = 0; i < 4; ++i) x[i] = is_signed ? static_cast<int8_t>(bytes[i]) : bytes[i];
    for (int n = 0; n < 16; ++n)
      sums[n] += static_cast<uint32_t>(x[0] * w[n * 4] + x[1] * w[n * 4 + 1] + x[2] * w[n * 4 + 2] +
                                       x[3] * w[n * 4 + 3]);
  }
};

void finish_one(const S8Finish& f, float r, int64_t at) {
  if (is_int8(f.residual_type))
    r = std::fma(static_cast<float>(load_integer(f.residual_type, f.residual, at) - f.residual_zero),
                 f.residual_scale, r);
  else if (f.residual_type != DType::undefined)
    r += load_real({f.residual_type, {}}, f.residual, at);
  r = apply(f.activation, r);
  const auto integer = [&] { return round_and_clamp(r * f.inverse_out_scale, f.out_zero, f.low, f.high); };
  if (f.function != nullptr)
    store_integer(f.dst_type, f.dst, at, byte_at(*f.function, integer()) + low_of(f.dst_type) + 128);
  else if (is_int8(f.dst_type))
    store_integer(f.dst_type, f.dst, at, integer());
  else
    store_real({f.dst_type, {}}, f.dst, at, r);
}

}  // namespace

void s8_finish_plain(const S8Finish& f, const ConvRows& rows, const S8Sums& s) {
  for (int64_t i = 0; i < rows.count; ++i)
    for (int64_t column = 0; column < s.columns; ++column) {
      const float sum = static_cast<float>(s.c[rows.sums[i] + column]);
      finish_one(f, sum * f.scale[s.at + column], rows.element[i] + s.channel + column);
    }
}

void s8_task_plain(const S8Args& args, const ConvRange& range) { walk_task<Plain>(args, range); }

}  // namespace narrow::kernels
