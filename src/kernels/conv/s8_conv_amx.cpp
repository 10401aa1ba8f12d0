// Int8 sums in AMX tiles (amx_steps.h); they begin at zero, the bias comes with what happens to them.
#include "kernels/conv/amx_steps.h"
#include "kernels/conv/s8_finish_avx512.h"
#include "kernels/conv/walk_loop.h"

namespace narrow::kernels {
namespace {

// Static: GCC 12 does not see that _tile_loadconfig reads memory and drops stores to a local one.
const AmxConfig kConfig;

struct Amx {
  using Args = S8Args;
  using Sum = int32_t;
  static constexpr int64_t kRows = 32, kColumns = 32;
  static int64_t cover(int64_t n) { return n > 16 ? 32 : 16; }
  static void begin(const S8Args&) { _tile_loadconfig(&kConfig); }
  static void end() { _tile_release(); }
  static void tile(const S8Args& g, const uint8_t* a, const int8_t* b, int64_t /*at*/, int64_t rows,
                   const S8Pending& pending, int32_t* c) {
    if (g.finish.stays_in_bytes)
      return with_s8_pairs<S8Sum::without_bias, MappedRows>(
          g.finish, pending.sums.columns, [&]<class Pairs>() {
            multiply(g, a, b, rows, Pairs(g.finish, MappedRows(*pending.rows), pending.sums), c);
          });
    s8_finish_any<true>(g.finish, *pending.rows, pending.sums);
    multiply(g, a, b, rows, AmxNothing{}, c);
  }
  static void finish(const S8Args& g, const ConvRows& rows, const S8Sums& sums) {
    if (g.finish.stays_in_bytes)
      with_s8_pairs<S8Sum::without_bias, MappedRows>(
          g.finish, sums.columns, [&]<class Pairs>() { Pairs(g.finish, MappedRows(rows), sums).rest(); });
    else
      s8_finish_any<true>(g.finish, rows, sums);
  }

 private:
  template <class Finisher>
  NARROW_AMX_INLINE static void multiply(const S8Args& g, const uint8_t* a, const int8_t* b, int64_t rows,
                                         Finisher finisher, int32_t* c) {
    if (g.is_signed)
      amx_tiles<AmxProduct::s8s8>(g, a, b, rows, finisher, c);
    else
      amx_tiles<AmxProduct::u8s8>(g, a, b, rows, finisher, c);
  }
};

/// Whether the products of a block are too few to hide how long sums take to leave the tiles. Rows that are
/// not dense are computed in blocks of their own, which should not be much more than the rows.
bool is_shallow(const S8Args& g) {
  constexpr int64_t kSteps = 4, kRows = 16;
  if (g.is_signed || !g.finish.on_float || g.segments * g.segment_bytes > kSteps * g.step_bytes) return false;
  return g.dense || 4 * ((g.ow + kRows - 1) / kRows * kRows) <= 5 * g.ow;
}

}  // namespace

void s8_task_amx(const S8Args& args, const ConvRange& range) {
  if (is_shallow(args))
    s8_shallow_task_amx(args, range);
  else
    walk_task<Amx>(args, range);
}

}  // namespace narrow::kernels
