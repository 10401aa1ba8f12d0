// The best scale of three codes.
#pragma once

#include <span>

namespace narrow::quant {

/// The s of least  sum h (x - s q)^2  over s and q in -1, 0, 1. For a set of numbers that become +-1 it is
/// sum h |x| / sum h, which takes (sum h |x|)^2 / sum h off the error; and whatever s is, those that become
/// +-1 are the largest, so as many sets are tried as there are numbers. `importance`: h of each number, not
/// negative; empty: all 1. 0 where all numbers (or their h) are 0. Source: Li et al., "Ternary Weight
/// Networks", arXiv:1605.04711, which has the formula and a rule of thumb for the threshold.
float scale_of_three_codes(std::span<const float> x, std::span<const float> importance = {});

}  // namespace narrow::quant
