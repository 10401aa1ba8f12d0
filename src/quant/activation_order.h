// GPTQ in the order of the data: inputs that carry most are rounded first, while all others can still take up
// what that costs.
//
// Source: the "act order" of Frantar et al.'s code for "GPTQ", arXiv:2210.17323; with scales of groups that
// are known before ("static groups" there), as groups lie along k whatever the order is.
#pragma once

#include "quant/gptq.h"

namespace narrow::quant {

/// Codes with the scales and zero points of `fixed`: k in the order of falling H_kk, ties as they lie.
GridWeights gptq_in_activation_order(const RoundingProblem& problem, const WeightGrid& grid,
                                     const GridWeights& fixed, ThreadPool& pool);

}  // namespace narrow::quant
