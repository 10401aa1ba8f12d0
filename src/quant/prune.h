// Weights made zero, by their size or by what their absence costs, the others making up for it.
//
// With H = R^T R (rounding_problem.h) and rows of k behind some point settled, those before it free to
// follow, the result's error grows by  R_kk^2 v_k^2  when weight k becomes zero, by  |R_BB v_B|^2  when a
// block B of rows does. That is w^2 / [H^-1]_kk of optimal brain surgery. Panels of rows are taken from the
// last to the first, as in gptq(): each is scored as it stands, the cheapest units go, and the rows before it
// take up their absence. At last all that stayed is fitted again, all at once: conjugate gradients on (v -
// w*)^T H (v - w*) with the zeros held.
//
// Source: Frantar and Alistarh, "SparseGPT: Massive Language Models Can Be Accurately Pruned in One-Shot",
// arXiv:2301.00774; the last step is ours.
#pragma once

#include <cstdint>
#include <vector>

#include "parallel/thread_pool.h"
#include "quant/prune_pattern.h"
#include "quant/rounding_problem.h"

namespace narrow::quant {

/// 1 where a weight of `weights` [k, n] stays. The lowest squares (sums of squares for blocks) of the whole
/// matrix go. Zeros stay zeros in every function here, beyond what the pattern asks for too.
std::vector<uint8_t> keep_by_magnitude(const std::vector<float>& weights, int64_t n,
                                       const PrunePattern& pattern, const HeavyShape& shape);
/// The same by what their absence costs. `problem` is that of the layer.
std::vector<uint8_t> keep_by_loss(const RoundingProblem& problem, const std::vector<float>& weights,
                                  const PrunePattern& pattern, const HeavyShape& shape, ThreadPool& pool);

/// The weights of least error_of() among those that are zero where `keep` is. Deterministic for any number of
/// threads.
std::vector<float> fit_kept(const RoundingProblem& problem, const std::vector<uint8_t>& keep,
                            ThreadPool& pool);

}  // namespace narrow::quant
