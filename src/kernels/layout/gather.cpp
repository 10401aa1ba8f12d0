#include "kernels/layout/gather.h"

#include <algorithm>
#include <cstring>

namespace narrow::kernels {
namespace {

constexpr int64_t kTaskBytes = 8 << 10;

/// Rows of one element: outputs [begin, end), counted through all outer indices.
template <class Element, class Index>
void gather_elements(const GatherSpec& s, void* dst, const void* src, const Index* indices, int64_t begin,
                     int64_t end) {
  auto* to = static_cast<Element*>(dst);
  for (int64_t r = begin; r < end;) {
    const auto* from = static_cast<const Element*>(src) + r / s.count * s.extent;
    const int64_t first = r % s.count, last = std::min(s.count, first + end - r);
    for (int64_t i = first; i < last; ++i, ++r)
      to[r] = from[indices[i] < 0 ? indices[i] + s.extent : indices[i]];
  }
}

template <class Index>
void gather_some(const GatherSpec& s, void* dst, const void* src, const Index* indices, int64_t begin,
                 int64_t end) {
  if (s.row_bytes == 1) return gather_elements<uint8_t>(s, dst, src, indices, begin, end);
  if (s.row_bytes == 2) return gather_elements<uint16_t>(s, dst, src, indices, begin, end);
  if (s.row_bytes == 4) return gather_elements<uint32_t>(s, dst, src, indices, begin, end);
  for (int64_t r = begin; r < end; ++r) {
    const int64_t index = indices[r % s.count], at = index < 0 ? index + s.extent : index;
    std::memcpy(static_cast<uint8_t*>(dst) + r * s.row_bytes,
                static_cast<const uint8_t*>(src) + (r / s.count * s.extent + at) * s.row_bytes,
                static_cast<size_t>(s.row_bytes));
  }
}

/// Windows that hold the elements of every register of indices; false: some want more than four.
template <class Lane, class Index>
bool find_windows(const GatherSpec& s, const Index* indices, GatherWindows<Lane>* windows) {
  constexpr int32_t kLanes = GatherWindows<Lane>::kLanes;
  if (s.row_bytes != sizeof(Lane) || s.extent < kLanes || s.count > kMostGatherWindows * kLanes) return false;
  for (int64_t first = 0; first < s.count; first += kLanes) {
    GatherWindows<Lane>& w = windows[first / kLanes] = {};
    int32_t used = 0;
    for (int64_t l = 0; l < std::min<int64_t>(kLanes, s.count - first); ++l) {
      const auto at = static_cast<int32_t>(indices[first + l] < 0 ? indices[first + l] + s.extent
                                                                  : int64_t{indices[first + l]});
      int32_t i = 0;
      while (i < used && (at < w.begin[i] || at >= w.begin[i] + kLanes)) ++i;
      if (i == 4) return false;
      if (i == used) w.begin[used++] = std::min(at, static_cast<int32_t>(s.extent) - kLanes);
      w.lane[l] = static_cast<Lane>(i * kLanes + at - w.begin[i]);
      w.upper |= i >= 2 ? 1U << l : 0U;
    }
  }
  return true;
}

/// Whether windows served.
template <class Lane, class Index, class Kernel>
bool gather_windows(const GatherSpec& s, const Index* indices, ThreadPool& pool, const Kernel& kernel) {
  GatherWindows<Lane> windows[kMostGatherWindows];
  if (!find_windows(s, indices, windows)) return false;
  parallel_for(pool, s.outer, std::max<int64_t>(1, kTaskBytes / std::max<int64_t>(1, s.count)),
               [&](int64_t begin, int64_t end) { kernel(windows, begin, end); });
  return true;
}

template <class Index>
int64_t gather(const GatherSpec& s, void* dst, const void* src, const Index* indices, Isa isa,
               ThreadPool& pool) {
  for (int64_t i = 0; i < s.count; ++i)
    if (indices[i] < -s.extent || indices[i] >= s.extent) return i;
  if (isa >= Isa::avx512_vnni && s.row_bytes == 1 && std::max(s.extent, s.count) <= kMostGatheredBytes) {
    alignas(64) uint8_t order[kMostGatheredBytes] = {};
    for (int64_t i = 0; i < s.count; ++i)
      order[i] = static_cast<uint8_t>(indices[i] < 0 ? indices[i] + s.extent : indices[i]);
    parallel_for(pool, s.outer, std::max<int64_t>(1, kTaskBytes / std::max<int64_t>(1, s.count)),
                 [&](int64_t begin, int64_t end) {
                   gather_bytes_avx512vnni(s, static_cast<uint8_t*>(dst), static_cast<const uint8_t*>(src),
                                           order, begin, end);
                 });
    return -1;
  }
  if (isa >= Isa::avx512 && s.outer > 1) {
    const auto halves = [&](const HalfWindows* windows, int64_t begin, int64_t end) {
      gather_halves_avx512(s, dst, src, windows, begin, end);
    };
    const auto words = [&](const WordWindows* windows, int64_t begin, int64_t end) {
      gather_words_avx512(s, dst, src, windows, begin, end);
    };
    if (gather_windows<int16_t>(s, indices, pool, halves) || gather_windows<int32_t>(s, indices, pool, words))
      return -1;
  }
  parallel_for(pool, s.outer * s.count, std::max<int64_t>(1, kTaskBytes / std::max<int64_t>(1, s.row_bytes)),
               [&](int64_t begin, int64_t end) { gather_some(s, dst, src, indices, begin, end); });
  return -1;
}

}  // namespace

int64_t gather_rows(const GatherSpec& spec, void* dst, const void* src, const int64_t* indices, Isa isa,
                    ThreadPool& pool) {
  return gather(spec, dst, src, indices, isa, pool);
}

int64_t gather_rows(const GatherSpec& spec, void* dst, const void* src, const int32_t* indices, Isa isa,
                    ThreadPool& pool) {
  return gather(spec, dst, src, indices, isa, pool);
}

}  // namespace narrow::kernels
