#include "pipeline/peaks.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "base/aligned.h"
#include "base/clock.h"
#include "base/cpu.h"
#include "kernels/conv/conv.h"
#include "kernels/peak/peak.h"
#include "parallel/thread_pool.h"

namespace narrow::pipeline {
namespace {

double best_seconds(int repeats, const auto& work) {
  constexpr double kEnoughSeconds = 0.1;  // the plain kernels take as long for a single round
  double best = 1e9;
  const Stopwatch all;
  for (int i = 0; i < repeats && (i == 0 || all.seconds() < kEnoughSeconds); ++i) {
    const Stopwatch watch;
    work();
    best = std::min(best, watch.seconds());
  }
  return best;
}

/// Of `bytes` read `rounds` times over, each thread its own pieces.
double read_bandwidth(ThreadPool& pool, int64_t bytes, int64_t rounds) {
  const AlignedBuffer memory = AlignedBuffer::zeroed(bytes);
  const int64_t pieces = 4 * pool.threads(), words = bytes / 8 / pieces;
  std::vector<uint64_t> sums(static_cast<size_t>(pieces));
  const double seconds = best_seconds(3, [&] {
    pool.run(pieces, [&](int64_t p) {
      const auto* piece = memory.as<uint64_t>() + p * words;
      uint64_t a = 0, b = 0, c = 0, d = 0;
      for (int64_t round = 0; round < rounds; ++round)
        for (int64_t i = 0; i + 32 <= words; i += 32)  // a word of each cache line
          a += piece[i], b += piece[i + 8], c += piece[i + 16], d += piece[i + 24];
      sums[static_cast<size_t>(p)] = a + b + c + d;
    });
  });
  return static_cast<double>(words * 8 * pieces * rounds) / seconds / 1e9;
}

/// Multiply-adds on registers of every thread, 10^9 operations a second; 0 where there are no vectors.
double register_peak(ThreadPool& pool, DType type) {
  const kernels::PeakKernel* kernel = kernels::peak_kernel(type);
  if (kernel == nullptr) return 0;
  const double seconds = best_seconds(50, [&] { pool.run(pool.threads(), [&](int64_t) { kernel->run(); }); });
  return static_cast<double>(kernel->operations * pool.threads()) / seconds / 1e9;
}

/// 768 pixels x 512 channels x 512: the best of the kernels that take these types, where registers were not
/// measured.
double conv_peak(ThreadPool& pool, DType src_type, DType weight_type) {
  if (const double peak = register_peak(pool, src_type); peak > 0) return peak;
  constexpr int64_t kPixels = 768, kChannels = 512;
  constexpr int kFill = 0x3f;  // 63 as an integer, about 0.75 as a float of any width
  kernels::ConvSpec spec;
  spec.shape = {.n = 1, .h = 1, .w = kPixels, .c = kChannels, .oh = 1, .ow = kPixels, .oc = kChannels};
  spec.src = spec.dst = src_type;
  spec.weights = weight_type;
  spec.weight_scale = {1};
  const auto filled = [](int64_t elements, DType type) {
    AlignedBuffer buffer(elements * bytes_of(type));
    std::memset(buffer.data(), kFill, static_cast<size_t>(buffer.bytes()));
    return buffer;
  };
  const AlignedBuffer weights = filled(kChannels * kChannels, weight_type),
                      src = filled(kPixels * kChannels, src_type);
  AlignedBuffer dst = filled(kPixels * kChannels, src_type);
  for (const kernels::ConvCandidate& candidate : kernels::conv_candidates()) {
    if (!runs_here(candidate.isa) || !candidate.unsupported(spec).empty()) continue;
    const auto kernel = candidate.create(
        spec, candidate.pack(spec, {.weights = weights.data(), .bias = nullptr}), pool.threads());
    AlignedBuffer scratch(kernel->scratch_bytes());
    const double seconds = best_seconds(50, [&] {
      kernel->run({.src = src.data(), .residual = nullptr, .dst = dst.data(), .scratch = scratch.data()},
                  pool);
    });
    return 2.0 * static_cast<double>(spec.shape.macs()) / seconds / 1e9;
  }
  return 0;
}

}  // namespace

Peaks measure_peaks(int threads) {
  ThreadPool pool(threads);
  constexpr int64_t kMemoryBytes = int64_t{256} << 20;
  const int64_t cache_bytes = cpu_features().l2_bytes / 2 * pool.threads();  // half is left to others
  return {.read_gb_s = read_bandwidth(pool, kMemoryBytes, 1),
          .cache_gb_s = read_bandwidth(pool, cache_bytes, 50),
          .cache_bytes = cache_bytes,
          .fp32_gflops = conv_peak(pool, DType::f32, DType::f32),
          .bf16_gflops = conv_peak(pool, DType::bf16, DType::bf16),
          .int8_gops = conv_peak(pool, DType::u8, DType::s8)};
}

bench::Roofs measure_roofs(int threads) {
  const Peaks peaks = measure_peaks(threads);
  return {.fp32_gops = peaks.fp32_gflops,
          .bf16_gops = peaks.bf16_gflops,
          .int8_gops = peaks.int8_gops,
          .memory_gb_s = peaks.read_gb_s,
          .cache_gb_s = peaks.cache_gb_s,
          .cache_bytes = peaks.cache_bytes};
}

}  // namespace narrow::pipeline
