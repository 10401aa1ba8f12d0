// bf16 x bf16 -> f32 in AMX tiles, and f16 as two bf16 numbers (amx_steps.h). The order of K is fixed, so a
// result never depends on how blocks are dealt to threads.
#include "kernels/conv/amx_steps.h"
#include "kernels/conv/bf16_finish_avx512bf16.h"
#include "kernels/conv/walk_loop.h"

namespace narrow::kernels {
namespace {

template <AmxProduct kProduct>
struct Bf16Amx {
  using Args = Bf16Args;
  using Sum = float;
  static constexpr int64_t kRows = 32, kColumns = 32;
  static int64_t cover(int64_t n) { return n > 16 ? 32 : 16; }
  static void begin(const Bf16Args& g) { _tile_loadconfig(g.config); }
  static void end() { _tile_release(); }
  static void tile(const Bf16Args& g, const uint8_t* a, const int8_t* b, int64_t /*at*/, int64_t rows,
                   const ConvPending<float>& pending, float* c) {
    if (!bf16_stays_half(g.finish)) {
      bf16_finish_any(g.finish, *pending.rows, pending.sums);
      return amx_tiles<kProduct>(g, a, b, rows, AmxNothing{}, c);
    }
    with_half_pairs(g.finish, pending.sums.columns, [&]<class Pairs>() {
      amx_tiles<kProduct>(g, a, b, rows, Pairs(g.finish, *pending.rows, pending.sums), c);
    });
  }
  static void finish(const Bf16Args& g, const ConvRows& rows, const Bf16Sums& sums) {
    if (bf16_stays_half(g.finish))
      with_half_pairs(g.finish, sums.columns, [&]<class Pairs>() { Pairs(g.finish, rows, sums).rest(); });
    else
      bf16_finish_any(g.finish, rows, sums);
  }
};

}  // namespace

void bf16_task_amx(const Bf16Args& args, const ConvRange& range) {
  if (args.split)
    walk_task<Bf16Amx<AmxProduct::f16>>(args, range);
  else
    walk_task<Bf16Amx<AmxProduct::bf16>>(args, range);
}

}  // namespace narrow::kernels
