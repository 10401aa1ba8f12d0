#include "kernels/conv/walk_fetch.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/aligned.h"
#include "kernels/conv/narrow_case.h"

namespace narrow::kernels {
namespace {
using namespace testing_conv;

/// Of each thread, how often it fetches each line, when it does the tasks of its share.
std::vector<std::vector<int>> fetched(const WeightStream& next, int64_t tasks, int threads) {
  std::vector<std::vector<int>> times(static_cast<size_t>(threads),
                                      std::vector<int>(static_cast<size_t>(div_up(next.bytes, kCacheLine))));
  for (int t = 0; t < threads; ++t)
    for (int64_t task = tasks * t / threads; task < tasks * (t + 1) / threads; ++task) {
      const ConvFetch part = conv_fetch(next, task, tasks, threads, 7);
      EXPECT_GE(part.per_tile * 7, part.lines);
      const int64_t first = (part.at - reinterpret_cast<const char*>(next.begin)) / kCacheLine;
      for (int64_t line = first; line < first + part.lines; ++line)
        ++times[static_cast<size_t>(t)].at(static_cast<size_t>(line));
    }
  return times;
}

TEST(WalkFetch, EveryThreadFetchesAllItWillRead) {
  const AlignedBuffer weights(100'000);
  for (const int64_t bytes : {0, 1, 64, 6401, 100'000})
    for (const int threads : {1, 2, 3, 8})
      for (const int64_t tasks : {1, 2, 3, 4, 8, 13, 32}) {
        SCOPED_TRACE(testing::Message()
                     << bytes << " bytes, " << threads << " threads, " << tasks << " tasks");
        const auto all = fetched({weights.data(), bytes, false}, tasks, threads);
        for (int t = 0; t < threads; ++t) {
          const bool idle = tasks * t / threads == tasks * (t + 1) / threads;
          EXPECT_EQ(all[static_cast<size_t>(t)], std::vector<int>(all[0].size(), idle ? 0 : 1)) << t;
        }
        const auto dealt = fetched({weights.data(), bytes, true}, tasks, threads);
        for (size_t line = 0; line < dealt[0].size(); ++line) {
          int sum = 0;
          for (const std::vector<int>& thread : dealt) sum += thread[line];
          EXPECT_EQ(sum, 1) << line;
        }
      }
}

/// Nothing but time may depend on it, and no address need be readable.
TEST(WalkFetch, ChangesNoBit) {
  int checked = 0;
  for (const ConvCandidate& candidate : conv_candidates())
    for (const auto& [src, weights] : {std::pair{DType::u8, DType::s8}, std::pair{DType::bf16, DType::bf16},
                                       std::pair{DType::f16, DType::f16}})
      for (const ConvShape& s : {shape(1, 14, 9, 64, 70, 3, 3, 1, 1), shape(1, 20, 9, 32, 40, 1, 1, 1, 0)}) {
        ConvSpec spec;
        spec.shape = s;
        spec.src = spec.dst = src, spec.weights = weights;
        spec.src_quant = {0.02F, 3}, spec.dst_quant = {0.4F, 0};
        if (is_int8(src)) spec.weight_scale.assign(static_cast<size_t>(s.oc), 0.01F);
        if (!runs_here(candidate.isa) || !candidate.unsupported(spec).empty()) continue;
        const Case c = make_case(spec, 5);
        const Bytes want = run(candidate, c, 2);
        const auto kernel = candidate.create(spec, candidate.pack(spec, {c.weights.data(), nullptr}), 2);
        if (kernel->weights().bytes == 0) continue;
        ++checked;
        Guarded next(1 << 16);
        Bytes dst(want.size());
        AlignedBuffer scratch(kernel->scratch_bytes());
        ThreadPool pool(2);
        kernel->run({.src = c.src.data(),
                     .dst = dst.data(),
                     .scratch = scratch.data(),
                     .next = {reinterpret_cast<std::byte*>(next.data()), 1 << 20, s.kh == 3}},
                    pool);
        EXPECT_EQ(dst, want) << candidate.name << " " << text(spec);
      }
  EXPECT_GT(checked, 0);
}

}  // namespace
}  // namespace narrow::kernels
