// Gather along one axis.
#pragma once

#include <cstdint>

#include "base/cpu.h"
#include "parallel/thread_pool.h"

namespace narrow::kernels {

/// dst[o, i, :] = src[o, indices[i], :]: rows of row_bytes, `extent` of them per outer index in src and
/// `count` in dst. Negative indices count from the end.
struct GatherSpec {
  int64_t outer = 1, extent = 1, count = 1, row_bytes = 1;
};

/// Returns the position of the first index outside [-extent, extent), or -1; dst is written only when all are
/// inside.
int64_t gather_rows(const GatherSpec& spec, void* dst, const void* src, const int64_t* indices, Isa isa,
                    ThreadPool& pool);
int64_t gather_rows(const GatherSpec& spec, void* dst, const void* src, const int32_t* indices, Isa isa,
                    ThreadPool& pool);

/// Most bytes of an outer index that gather_bytes takes, in src and in dst.
constexpr int64_t kMostGatheredBytes = 256;

/// Rows of one byte: channels of pixels. `order`: indices in [0, extent), kMostGatheredBytes of them. Outer
/// indices [begin, end).
void gather_bytes_avx512vnni(const GatherSpec& spec, uint8_t* dst, const uint8_t* src, const uint8_t* order,
                             int64_t begin, int64_t end);

/// Where the elements of an outer index come from, a register of them: lane l is element lane[l] % kLanes of
/// the window that begins at begin[lane[l] / kLanes]; `upper`: lanes of the last two windows.
template <class Lane>
struct GatherWindows {
  static constexpr int32_t kLanes = 64 / sizeof(Lane);
  alignas(64) Lane lane[kLanes];
  int32_t begin[4];
  uint32_t upper;
};
using HalfWindows = GatherWindows<int16_t>;
using WordWindows = GatherWindows<int32_t>;
constexpr int64_t kMostGatherWindows = 128;

/// Rows of two and of four bytes; `windows` for each register of `count`. Outer indices [begin, end).
void gather_halves_avx512(const GatherSpec& spec, void* dst, const void* src, const HalfWindows* windows,
                          int64_t begin, int64_t end);
void gather_words_avx512(const GatherSpec& spec, void* dst, const void* src, const WordWindows* windows,
                         int64_t begin, int64_t end);

}  // namespace narrow::kernels
