#include "pipeline/peaks.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "base/aligned.h"
#include "base/clock.h"
#include "base/cpu.h"
#include "kernels/conv/conv.h"
#include "parallel/thread_pool.h"

namespace narrow::pipeline {
namespace {

double best_seconds(int repeats, const auto& work) {
  double best = 1e9;
  for (int i = 0; i < repeats; ++i) {
    const Stopwatch watch;
    work();
    best = std::min(best, watch.seconds());
  }
  return best;
}

double read_bandwidth(ThreadPool& pool) {
  constexpr int64_t kBytes = int64_t{256} << 20;
  const AlignedBuffer memory = AlignedBuffer::zeroed(kBytes);
  const int64_t pieces = 4 * pool.threads();
  std::vector<uint64_t> sums(static_cast<size_t>(pieces));
  const double seconds = best_seconds(3, [&] {
    pool.run(pieces, [&](int64_t p) {
      const auto* words = memory.as<uint64_t>() + p * (kBytes / 8 / pieces);
      uint64_t a = 0, b = 0, c = 0, d = 0;
      for (int64_t i = 0; i + 32 <= kBytes / 8 / pieces; i += 32)
        a += words[i], b += words[i + 8], c += words[i + 16], d += words[i + 24];
      sums[static_cast<size_t>(p)] = a + b + c + d;
    });
  });
  return static_cast<double>(kBytes) / seconds / 1e9;
}

double fp32_peak(ThreadPool& pool) {
  kernels::ConvSpec spec;
  spec.shape = {.n = 1, .h = 1, .w = 768, .c = 256, .oh = 1, .ow = 768, .oc = 256};
  const std::vector<float> weights(256 * 256, 0.5F);
  std::vector<float> src(768 * 256, 0.25F), dst(768 * 256);
  for (const kernels::ConvCandidate& candidate : kernels::conv_candidates()) {
    if (candidate.isa > usable_isa() || !candidate.unsupported(spec).empty()) continue;
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
  return {.read_gb_s = read_bandwidth(pool), .fp32_gflops = fp32_peak(pool)};
}

}  // namespace narrow::pipeline
