// Where each activation lives in the arena: a static packing of lifetimes.
#pragma once

#include <cstdint>
#include <vector>

namespace narrow::runtime {

struct Lifetime {
  int64_t bytes;
  int64_t first, last;  // steps, both included
};

struct MemoryPlan {
  std::vector<int64_t> offsets;  // per lifetime, 64-byte aligned
  int64_t arena_bytes = 0;
  int64_t lower_bound = 0;  // most bytes alive at one step
};

/// Greedy by size: largest first, each at the lowest offset free over its whole life (Pisarchyk & Lee,
/// "Efficient Memory Management for Deep Neural Net Inference", arXiv:2001.03288, algorithm 3).
/// Deterministic.
MemoryPlan plan_memory(const std::vector<Lifetime>& lifetimes);

}  // namespace narrow::runtime
