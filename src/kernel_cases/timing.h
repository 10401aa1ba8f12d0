// How long the candidates of a problem take.
#pragma once

#include <string>
#include <vector>

#include "kernel_cases/problem.h"

namespace narrow::kernel_cases {

struct TimeOptions {
  double seconds = 0.5;   // for each candidate
  std::string only = {};  // those whose names begin so; empty: all
  bool cold = false;      // caches are flushed before every run, then inputs and outputs brought back
};

struct Timing {
  std::string candidate;
  Isa isa = Isa::plain;
  std::string skipped;  // why it did not run
  int64_t runs = 0;
  double median_us = 0, p10_us = 0, p90_us = 0;  // of one run
};

/// Candidates take turns, so that what else the machine does meets all of them alike. A sample is as many
/// runs as take 20 us, of which each gets its share; cold, it is one run: what a kernel owns (packed weights,
/// its tables) then comes from memory, as in a model whose weights exceed the caches.
std::vector<Timing> time_candidates(const Problem& problem, const TimeOptions& options, ThreadPool& pool);

/// What a cold run reads first to empty the caches: all levels, at most 1 GiB.
int64_t flush_bytes();

}  // namespace narrow::kernel_cases
