// Reductions over one run of axes:  y[o][i] = finish(sum over r of step(x[o][r][i]))
//   step: x, |x|, x^2;  finish: as it is, divided by the count, its square root.  Or the largest, the
//   smallest.
#pragma once

#include <cstdint>

#include "base/cpu.h"
#include "parallel/thread_pool.h"

namespace narrow::kernels {

enum class Reduction : uint8_t { sum, mean, l1, l2, sum_square, max, min };
constexpr Reduction kAllReductions[] = {Reduction::sum,        Reduction::mean, Reduction::l1, Reduction::l2,
                                        Reduction::sum_square, Reduction::max,  Reduction::min};
const char* to_string(Reduction kind);

/// x is f32 [outer, reduced, inner], y f32 [outer, inner]. No elements: a sum is 0, a mean NaN, the largest
/// -infinity.
struct ReduceSpec {
  Reduction kind = Reduction::sum;
  int64_t outer = 1, reduced = 1, inner = 1;
};

int64_t reduce_scratch_bytes(const ReduceSpec& spec);

/// One element after the other in double; NaN wins.
void reduce_reference(const ReduceSpec& spec, const float* x, float* y);
/// Sums run in double too, in an order that depends on the spec and the ISA only: off by at most
/// reduced * 2^-53 of the sum of magnitudes, and the rounding to f32. `scratch`: reduce_scratch_bytes.
void reduce(const ReduceSpec& spec, const float* x, float* y, void* scratch, Isa isa, ThreadPool& pool);

}  // namespace narrow::kernels
