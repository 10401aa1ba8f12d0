#include <algorithm>
#include <cstring>

#include "base/aligned.h"
#include "kernels/elementwise/runs.h"
#include "kernels/lanes/element.h"
#include "kernels/lanes/lanes.h"

namespace narrow::kernels {
namespace {

/// Elements per task: enough to outweigh waking a thread, few enough that all threads get some.
constexpr int64_t kTask = 16 * kRun;

template <class Entry>
void lookup_plain(const uint8_t* table, const uint8_t* src, uint8_t* dst, int64_t n) {
  Entry entry;
  for (int64_t i = 0; i < n; ++i) {
    std::memcpy(&entry, table + src[i] * sizeof(Entry), sizeof(Entry));
    std::memcpy(dst + i * static_cast<int64_t>(sizeof(Entry)), &entry, sizeof(Entry));
  }
}

void lookup(const UnaryTable& table, const uint8_t* src, uint8_t* dst, int64_t n) {
  if (table.entry_bytes == 1)
    lookup_plain<uint8_t>(table.entries, src, dst, n);
  else if (table.entry_bytes == 2)
    lookup_plain<uint16_t>(table.entries, src, dst, n);
  else
    lookup_plain<uint32_t>(table.entries, src, dst, n);
}

void unary_piece(const UnarySpec& spec, const void* src, void* dst, int64_t begin, int64_t end, Isa isa) {
  alignas(64) float x_buffer[kRun], y_buffer[kRun];
  for (int64_t i = begin; i < end; i += kRun) {
    const int64_t n = std::min(kRun, end - i);
    const float* x = run_as_f32(spec.src, src, i, n, x_buffer, isa);
    float* y = run_to_f32(spec.dst, dst, i, y_buffer);
    unary_run(spec.function, x, y, n, isa);
    if (spec.dst.type != DType::f32) store_run(spec.dst, y, dst, i, n, isa);
  }
}

}  // namespace

void unary_run(const UnaryFunction& function, const float* x, float* y, int64_t n, Isa isa) {
  if (isa >= Isa::avx512 && unary_run_avx512(function, x, y, n)) return;
  if (isa >= Isa::avx2 && unary_run_avx2(function, x, y, n)) return;
  for (int64_t i = 0; i < n; ++i) y[i] = apply(function, x[i]);
}

void unary(const UnarySpec& spec, const void* src, void* dst, Isa isa, ThreadPool& pool) {
  if (is_int8(spec.src.type)) {
    unary_lookup(unary_table(spec), src, dst, spec.count, isa, pool);
    return;
  }
  parallel_for(pool, spec.count, kTask,
               [&](int64_t begin, int64_t end) { unary_piece(spec, src, dst, begin, end, isa); });
}

UnaryTable unary_table(const UnarySpec& spec) {
  uint8_t bytes[256];
  for (int i = 0; i < 256; ++i) bytes[i] = static_cast<uint8_t>(i);
  UnaryTable table;
  table.entry_bytes = bytes_of(spec.dst.type);
  UnarySpec whole = spec;
  whole.count = 256;
  unary_reference(whole, bytes, table.entries);
  return table;
}

void unary_lookup(const UnaryTable& table, const void* src, void* dst, int64_t count, Isa isa,
                  ThreadPool& pool) {
  const auto* in = static_cast<const uint8_t*>(src);
  auto* out = static_cast<uint8_t*>(dst);
  parallel_for(pool, count, 4 * kTask, [&](int64_t begin, int64_t end) {
    unary_lookup_rows(table, in + begin, 0, out + begin * table.entry_bytes, 0, 1, end - begin, isa);
  });
}

void unary_lookup_rows(const UnaryTable& table, const void* src, int64_t src_pitch, void* dst,
                       int64_t dst_pitch, int64_t rows, int64_t n, Isa isa) {
  const auto* in = static_cast<const uint8_t*>(src);
  auto* out = static_cast<uint8_t*>(dst);
  if (table.entry_bytes == 1 && isa >= Isa::avx512_vnni)
    return lookup_bytes_avx512vnni(table.entries, in, src_pitch, out, dst_pitch, rows, n);
  for (int64_t row = 0; row < rows; ++row) lookup(table, in + row * src_pitch, out + row * dst_pitch, n);
}

}  // namespace narrow::kernels
