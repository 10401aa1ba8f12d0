#include "kernels/conv/walk_fetch.h"

#include <algorithm>

#include "base/aligned.h"

namespace narrow::kernels {

ConvFetch conv_fetch(const WeightStream& next, int64_t task, int64_t tasks, int threads, int64_t tiles) {
  const int64_t lines = div_up(next.bytes, kCacheLine);
  int64_t part = task, parts = tasks;
  if (!next.dealt) {
    // The thread whose share [tasks * t / threads, tasks * (t + 1) / threads) it is in.
    int64_t thread = task * threads / tasks;
    while (tasks * (thread + 1) / threads <= task) ++thread;
    const int64_t first = tasks * thread / threads;
    part = task - first, parts = tasks * (thread + 1) / threads - first;
  }
  const int64_t first = lines * part / parts, end = lines * (part + 1) / parts;
  return {reinterpret_cast<const char*>(next.begin) + first * kCacheLine, end - first,
          div_up(end - first, std::max<int64_t>(1, tiles))};
}

}  // namespace narrow::kernels
