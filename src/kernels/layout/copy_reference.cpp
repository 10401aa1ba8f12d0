#include <cstring>

#include "kernels/layout/copy.h"

namespace narrow::kernels {

void copy_nd_reference(const CopySpec& spec, const void* src, void* dst) {
  for (int64_t i = 0; i < spec.count(); ++i) {
    int64_t rest = i, from = 0, to = 0;
    for (int d = spec.rank - 1; d >= 0; --d) {
      from += rest % spec.extents[d] * spec.src_strides[d];
      to += rest % spec.extents[d] * spec.dst_strides[d];
      rest /= spec.extents[d];
    }
    std::memcpy(static_cast<uint8_t*>(dst) + to * spec.element_bytes,
                static_cast<const uint8_t*>(src) + from * spec.element_bytes,
                static_cast<size_t>(spec.element_bytes));
  }
}

}  // namespace narrow::kernels
