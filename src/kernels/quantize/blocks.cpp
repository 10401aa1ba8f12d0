#include "kernels/quantize/blocks.h"

#include <algorithm>
#include <array>

#include "kernels/lanes/lanes.h"

namespace narrow::kernels {
namespace {

/// The number of every code: all these types have at most 256.
using Table = std::array<float, 256>;

Table numbers_of(DType type) {
  Table table{};
  for (size_t code = 0; code < table.size(); ++code) {
    const auto byte = static_cast<uint8_t>(code);
    table[code] =
        type == DType::s8 ? static_cast<float>(static_cast<int8_t>(byte)) : static_cast<float>(byte);
    dispatch_narrow(type, [&](auto tag) {
      using T = decltype(tag);
      if constexpr (requires { T::wrap(0); })
        table[code] = static_cast<float>(T::wrap(byte));
      else
        table[code] = static_cast<float>(T::from_bits(byte));
    });
  }
  return table;
}

/// n codes from element `begin` on, all of one (o, a) with inner > 1, or of one o with inner = 1.
void decode(const BlockSpec& spec, const Table& table, const uint8_t* src, int64_t begin, int64_t n,
            float* dst) {
  const int64_t o = begin / (spec.axis * spec.inner), a = begin / spec.inner % spec.axis,
                i = begin % spec.inner;
  const int64_t row = o * spec.outer_stride;
  for (int64_t j = 0; j < n; ++j) {
    const int64_t at = spec.inner == 1
                           ? row + (a + j) / spec.block * spec.block_stride
                           : row + a / spec.block * spec.block_stride + (i + j) * spec.inner_stride;
    const float zero_point = spec.zero_point != nullptr ? spec.zero_point[at] : 0;
    dst[j] = (table[src[begin + j]] - zero_point) * spec.scale[at];
  }
}

}  // namespace

void dequantize_blocks(const BlockSpec& spec, const void* src, void* dst, Isa isa, ThreadPool& pool) {
  const Table table = numbers_of(spec.src);
  const auto* codes = static_cast<const uint8_t*>(src);
  const int64_t stretch = spec.inner == 1 ? spec.axis : spec.inner;
  parallel_for(pool, spec.count(), 32 * kRun, [&](int64_t begin, int64_t end) {
    alignas(64) float buffer[kRun];
    for (int64_t at = begin; at < end;) {
      const int64_t n = std::min({end - at, stretch - at % stretch, kRun});
      decode(spec, table, codes, at, n, buffer);
      store_run({spec.dst, {}}, buffer, dst, at, n, isa);
      at += n;
    }
  });
}

}  // namespace narrow::kernels
