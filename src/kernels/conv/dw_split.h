// How depthwise convolutions are dealt to tasks: chunks of channels, strips of output columns, runs of output
// rows. Vectors run over channels, so chunks are independent; a task keeps a chunk's strip of source rows
// near in a buffer.
//
// Images with rows enough are dealt by rows, all channels of them: the layers before and after deal pixels
// the same way, so a core finds what it reads in its own cache. Small images have many channels, and weights
// that are dealt by channels around them.
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
  /// Whether a task takes whole rows, all chunks of them.
  static bool deals_rows(const ConvShape& s, int threads) { return s.n * s.oh >= 4 * threads; }

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
    rows_ = s.n * oh_;
    // About 20 us a task; too little work for the team's wake-up stays on one thread.
    const int64_t lanes = s.n * s.oh * s.ow * round_up(s.c, chunk) / 64 * s.kh * s.kw;
    tasks_ = lanes < 1'000 ? 1 : std::clamp<int64_t>(lanes / 10'000, 1, 4) * threads;
    by_rows_ = deals_rows(s, threads);
    tasks_ = std::min(tasks_, by_rows_ ? std::max<int64_t>(threads, rows_ / 4) : units_);
  }

  int64_t tasks() const { return tasks_; }
  /// Source columns of the widest strip.
  int64_t columns() const { return columns_; }

  /// Calls f(strip) for the strips of one task.
  template <class F>
  void for_each_strip(int64_t task, F&& f) const {
    by_rows_ ? strips_of_rows(task, f) : strips_of_units(task, f);
  }

 private:
  /// All chunks and strips of output rows [rows * task / tasks, rows * (task + 1) / tasks).
  template <class F>
  void strips_of_rows(int64_t task, F&& f) const {
    const int64_t end = rows_ * (task + 1) / tasks_;
    for (int64_t row = rows_ * task / tasks_; row < end;) {
      const int64_t stop = std::min(end, (row / oh_ + 1) * oh_), begin = row % oh_;
      for (int64_t i = 0; i < chunks_ * strips_; ++i)
        strip(row / oh_, i / strips_, i % strips_, begin, begin + stop - row, f);
      row = stop;
    }
  }

  /// A run of (image, chunk, strip, row), rows fastest.
  template <class F>
  void strips_of_units(int64_t task, F&& f) const {
    const int64_t end = units_ * (task + 1) / tasks_;
    for (int64_t unit = units_ * task / tasks_; unit < end;) {
      const int64_t plane = unit / oh_ / strips_, begin = unit % oh_,
                    rows = std::min(oh_ - begin, end - unit);
      strip(plane / chunks_, plane % chunks_, unit / oh_ % strips_, begin, begin + rows, f);
      unit += rows;
    }
  }

  template <class F>
  void strip(int64_t image, int64_t chunk, int64_t index, int64_t row_begin, int64_t row_end, F&& f) const {
    DwStrip s{.image = image, .channel = chunk * chunk_, .row_begin = row_begin, .row_end = row_end};
    s.column_begin = std::min(index * width_, ow_);
    s.column_end = std::min(s.column_begin + width_, ow_);
    if (s.column_begin < s.column_end) f(s);
  }

  int64_t oh_, ow_, chunk_, chunks_, strips_ = 1, width_ = 1, columns_ = 1, units_ = 1, rows_ = 1, tasks_ = 1;
  bool by_rows_ = false;
};

}  // namespace narrow::kernels
