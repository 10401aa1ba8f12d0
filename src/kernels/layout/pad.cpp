#include <algorithm>
#include <cstring>

#include "kernels/layout/copy.h"

namespace narrow::kernels {
namespace {

constexpr int64_t kTaskBytes = 64 << 10;

/// Source index of coordinate i of an axis of n elements, which may lie before or behind it; -1: the
/// constant.
int64_t padded_index(PadMode mode, int64_t i, int64_t n) {
  if (i >= 0 && i < n) return i;
  const auto modulo = [](int64_t a, int64_t m) { return (a % m + m) % m; };
  switch (mode) {
    case PadMode::constant:
      return -1;
    case PadMode::edge:
      return i < 0 ? 0 : n - 1;
    case PadMode::wrap:
      return modulo(i, n);
    case PadMode::reflect:
      break;
  }
  if (n == 1) return 0;
  const int64_t period = 2 * (n - 1), at = modulo(i, period);
  return at < n ? at : period - at;
}

int64_t padded_extent(const PadSpec& spec, int d) { return spec.shape[d] + spec.before[d] + spec.after[d]; }

/// Element offset in src of the row (all axes but the last) that dst row `row` shows; -1: only the constant.
int64_t source_row(const PadSpec& spec, int64_t row) {
  int64_t offset = 0, stride = spec.shape[spec.rank - 1];
  for (int d = spec.rank - 2; d >= 0; --d) {
    const int64_t extent = padded_extent(spec, d);
    const int64_t at = padded_index(spec.mode, row % extent - spec.before[d], spec.shape[d]);
    if (at < 0) return -1;
    offset += at * stride;
    stride *= spec.shape[d];
    row /= extent;
  }
  return offset;
}

void pad_row(const PadSpec& spec, const uint8_t* src, const void* value, uint8_t* dst) {
  const int64_t bytes = spec.element_bytes, n = spec.shape[spec.rank - 1],
                before = spec.before[spec.rank - 1];
  const int64_t extent = padded_extent(spec, spec.rank - 1);
  const auto element = [&](int64_t j) {
    const int64_t at = src == nullptr ? -1 : padded_index(spec.mode, j - before, n);
    const void* from = at < 0 ? value : src + at * bytes;
    std::memcpy(dst + j * bytes, from, static_cast<size_t>(bytes));
  };
  const int64_t begin = std::clamp<int64_t>(before, 0, extent),
                end = std::clamp<int64_t>(before + n, begin, extent);
  if (src == nullptr) {
    for (int64_t j = 0; j < extent; ++j) element(j);
    return;
  }
  for (int64_t j = 0; j < begin; ++j) element(j);
  std::memcpy(dst + begin * bytes, src + (begin - before) * bytes,
              static_cast<size_t>((end - begin) * bytes));
  for (int64_t j = end; j < extent; ++j) element(j);
}

}  // namespace

void pad_reference(const PadSpec& spec, const void* src, const void* value, void* dst) {
  int64_t count = 1;
  for (int d = 0; d < spec.rank; ++d) count *= padded_extent(spec, d);
  for (int64_t i = 0; i < count; ++i) {
    int64_t rest = i, offset = 0, stride = 1;
    bool inside = true;
    for (int d = spec.rank - 1; d >= 0; --d) {
      const int64_t extent = padded_extent(spec, d);
      const int64_t at = padded_index(spec.mode, rest % extent - spec.before[d], spec.shape[d]);
      inside = inside && at >= 0;
      offset += at * stride;
      stride *= spec.shape[d];
      rest /= extent;
    }
    const void* from = inside ? static_cast<const uint8_t*>(src) + offset * spec.element_bytes : value;
    std::memcpy(static_cast<uint8_t*>(dst) + i * spec.element_bytes, from,
                static_cast<size_t>(spec.element_bytes));
  }
}

void pad(const PadSpec& spec, const void* src, const void* value, void* dst, ThreadPool& pool) {
  if (spec.rank == 0) {
    std::memcpy(dst, src, static_cast<size_t>(spec.element_bytes));
    return;
  }
  int64_t rows = 1;
  for (int d = 0; d + 1 < spec.rank; ++d) rows *= padded_extent(spec, d);
  const int64_t row_bytes = padded_extent(spec, spec.rank - 1) * spec.element_bytes;
  if (rows * row_bytes == 0) return;
  parallel_for(pool, rows, std::max<int64_t>(1, kTaskBytes / row_bytes), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const int64_t from = source_row(spec, r);
      const uint8_t* row = from < 0 ? nullptr : static_cast<const uint8_t*>(src) + from * spec.element_bytes;
      pad_row(spec, row, value, static_cast<uint8_t*>(dst) + r * row_bytes);
    }
  });
}

}  // namespace narrow::kernels
