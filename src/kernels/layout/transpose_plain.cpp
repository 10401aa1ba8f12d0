#include <algorithm>

#include "kernels/layout/transpose.h"

namespace narrow::kernels {
namespace {

/// Blocks of 16 x 16: 16 lines of src and of dst are in use at a time.
template <class T>
void transpose_blocks(const TransposeTile& t) {
  const T* src = reinterpret_cast<const T*>(t.src);
  T* dst = reinterpret_cast<T*>(t.dst);
  for (int64_t i0 = 0; i0 < t.rows; i0 += 16)
    for (int64_t j0 = 0; j0 < t.columns; j0 += 16)
      for (int64_t j = j0; j < std::min(j0 + 16, t.columns); ++j)
        for (int64_t i = i0; i < std::min(i0 + 16, t.rows); ++i)
          dst[j * t.dst_pitch + i] = src[i * t.src_pitch + j];
}

}  // namespace

void transpose_plain(int64_t element_bytes, const TransposeTile& tile) {
  switch (element_bytes) {
    case 1:
      return transpose_blocks<uint8_t>(tile);
    case 2:
      return transpose_blocks<uint16_t>(tile);
    case 4:
      return transpose_blocks<uint32_t>(tile);
    default:
      return transpose_blocks<uint64_t>(tile);
  }
}

}  // namespace narrow::kernels
