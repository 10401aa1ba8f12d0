// Rounded weights made better in place: coordinate descent over codes, then over scales, by the same error.
//
// One code at a time moves to where (v - w*)^T H (v - w*) is least with all others as they are, those that
// must be zero excepted; sweeps go on until none moves. Weights that stand apart move along, each to the
// nearest FP16 number. Then the scales of a column, all at once, are those
// of least error for its codes (a linear system of as many unknowns as groups), where the file may choose
// scales at all. Neither step can make the error larger.
#pragma once

#include "parallel/thread_pool.h"
#include "quant/gptq.h"

namespace narrow::quant {

struct RefineOptions {
  bool scales = true;  // false: they are fixed
  int rounds = 4, sweeps = 10;
};

void refine_codes(const RoundingProblem& problem, const WeightGrid& grid, const RefineOptions& options,
                  GridWeights& weights, ThreadPool& pool);

}  // namespace narrow::quant
