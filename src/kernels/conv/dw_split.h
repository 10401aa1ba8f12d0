// How depthwise convolutions are dealt to tasks: chunks of channels, strips of output columns, runs of output
// rows. Vectors run over channels, so chunks are independent; a task keeps a chunk's strip of source rows
// near in a buffer.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/aligned.h"
#include "kernels/conv/conv.h"

namespace narrow::kernels {

struct DwStrip {
  int64_t image = 0, channel = 0;                                        // first channel of the chunk
  int64_t column_begin = 0, column_end = 0, row_begin = 0, row_end = 0;  // of dst
};

class DwSplit {
 public:
  /// chunk: channels per chunk; column_bytes: buffer needed per source column of a strip.
  DwSplit(const ConvShape& s, int64_t chunk, int64_t column_bytes, int threads)
      : oh_(s.oh), ow_(s.ow), chunk_(chunk), chunks_(div_up(s.c, chunk)) {
    // Strips whose buffer stays in a 48 KB first-level cache beside the rows being read and written.
    const int64_t halo = (s.kw - 1) * s.dilation_w + 1, columns = 32'768 / column_bytes - halo;
    const int64_t widest = std::max<int64_t>(1, columns / s.stride_w + 1);
    strips_ = div_up(ow_, widest);
    width_ = div_up(ow_, strips_);
    columns_ = (width_ - 1) * s.stride_w + halo;
    units_ = s.n * chunks_ * strips_ * oh_;
    // About 20 us a task; too little work for the team's wake-up stays on one thread.
    const int64_t lanes = s.n * s.oh * s.ow * round_up(s.c, chunk) / 64 * s.kh * s.kw;
    tasks_ = lanes < 1'000 ? 1 : std::clamp<int64_t>(lanes / 10'000, 1, 4) * threads;
    tasks_ = std::min(tasks_, units_);
  }

  int64_t tasks() const { return tasks_; }
  /// Source columns of the widest strip.
  int64_t columns() const { return columns_; }

  /// Calls f(strip) for the strips of one task.
  template <class F>
  void for_each_strip(int64_t task, F&& f) const {
    const int64_t end = units_ * (task + 1) / tasks_;
    for (int64_t unit = units_ * task / tasks_; unit < end;) {
      const int64_t strip = unit / oh_ % strips_, plane = unit / oh_ / strips_;
      DwStrip s{.image = plane / chunks_, .channel = plane % chunks_ * chunk_};
      s.column_begin = std::min(strip * width_, ow_);
      s.column_end = std::min(s.column_begin + width_, ow_);
      s.row_begin = unit % oh_;
      s.row_end = std::min(oh_, s.row_begin + end - unit);
      unit += s.row_end - s.row_begin;
      if (s.column_begin < s.column_end) f(s);
    }
  }

 private:
  int64_t oh_, ow_, chunk_, chunks_, strips_ = 1, width_ = 1, columns_ = 1, units_ = 1, tasks_ = 1;
};

}  // namespace narrow::kernels
