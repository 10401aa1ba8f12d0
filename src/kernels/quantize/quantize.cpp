#include "kernels/quantize/quantize.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "base/aligned.h"
#include "kernels/lanes/lanes.h"
#include "kernels/quantize/code_runs.h"
#include "numerics/quantization.h"

namespace narrow::kernels {
namespace {

constexpr int64_t kTask = 32 * kRun;
constexpr int32_t kZeros[kRun] = {};

using RunFunction = void (*)(const CodeRun& run, Isa isa);

/// Elements [begin, end), cut where the channel changes; with inner = 1 cut where the channels start over.
void code_piece(const QuantizeSpec& spec, RunFunction run, Isa isa, const void* src, void* dst, int64_t begin,
                int64_t end) {
  const int64_t src_bytes = bytes_of(spec.src), dst_bytes = bytes_of(spec.dst);
  const bool per_element = spec.inner == 1 && spec.channels > 1;
  const int64_t stretch = per_element ? spec.channels : spec.inner;
  for (int64_t i = begin; i < end;) {
    const int64_t c = i / spec.inner % spec.channels;
    int64_t n = std::min(end - i, stretch - i % stretch);
    if (per_element && spec.zero_point == nullptr) n = std::min(n, kRun);
    const int32_t* zero_point = spec.zero_point != nullptr ? spec.zero_point + c : kZeros;
    run({spec.src, spec.dst, static_cast<const uint8_t*>(src) + i * src_bytes,
         static_cast<uint8_t*>(dst) + i * dst_bytes, n, spec.scale + c, zero_point, per_element},
        isa);
    i += n;
  }
}

void code(const QuantizeSpec& spec, RunFunction run, const void* src, void* dst, Isa isa, ThreadPool& pool) {
  parallel_for(pool, spec.count(), kTask,
               [&](int64_t begin, int64_t end) { code_piece(spec, run, isa, src, dst, begin, end); });
}

void range_plain(const float* x, int64_t n, float* low, float* high) {
  for (int64_t i = 0; i < n; ++i) {
    *low = x[i] < *low ? x[i] : *low;
    *high = x[i] > *high ? x[i] : *high;
  }
}

}  // namespace

void quantize_linear(const QuantizeSpec& spec, const void* src, void* dst, Isa isa, ThreadPool& pool) {
  code(spec, quantize_run, src, dst, isa, pool);
}

void dequantize_linear(const QuantizeSpec& spec, const void* src, void* dst, Isa isa, ThreadPool& pool) {
  code(spec, dequantize_run, src, dst, isa, pool);
}

void quantize_run(const CodeRun& run, Isa isa) {
  (isa >= Isa::avx512 ? quantize_run_avx512 : isa >= Isa::avx2 ? quantize_run_avx2 : quantize_run_plain)(run);
}

void dequantize_run(const CodeRun& run, Isa isa) {
  (isa >= Isa::avx512 ? dequantize_run_avx512
   : isa >= Isa::avx2 ? dequantize_run_avx2
                      : dequantize_run_plain)(run);
}

void quantize_run_plain(const CodeRun& run) {
  QuantizeSpec spec{run.src, run.dst, 1, 1, 1, nullptr, nullptr};
  (run.per_element ? spec.channels : spec.inner) = run.n;
  spec.scale = run.scale, spec.zero_point = run.zero_point;
  quantize_linear_reference(spec, run.from, run.to);
}

void dequantize_run_plain(const CodeRun& run) {
  QuantizeSpec spec{run.src, run.dst, 1, 1, 1, nullptr, nullptr};
  (run.per_element ? spec.channels : spec.inner) = run.n;
  spec.scale = run.scale, spec.zero_point = run.zero_point;
  dequantize_linear_reference(spec, run.from, run.to);
}

DynamicQuant dynamic_quant(const float* x, int64_t count, Isa isa, ThreadPool& pool) {
  constexpr int64_t kPieces = 64;  // fixed, so that no allocation depends on the size
  float low[kPieces] = {}, high[kPieces] = {};
  const int64_t grain = std::max(kTask, div_up(count, kPieces));
  parallel_for(pool, count, grain, [&](int64_t begin, int64_t end) {
    const auto range = isa >= Isa::avx512 ? range_avx512 : range_plain;
    range(x + begin, end - begin, &low[begin / grain], &high[begin / grain]);
  });
  const float lowest = *std::min_element(low, low + kPieces),
              highest = *std::max_element(high, high + kPieces);
  if (lowest == highest) return {1, 0};
  const float scale = (highest - lowest) / 255.0F;
  return {scale, narrow::quantize(-lowest, scale, 0, kRangeU8)};
}

}  // namespace narrow::kernels
