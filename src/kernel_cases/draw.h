// Random cases of any family: for `narrow-kernels fuzz`, the unit test, and the fuzz target.
#pragma once

#include <cstdint>

#include "kernel_cases/family.h"

namespace narrow::kernel_cases {

/// About the multiply-adds of one case: large enough for several tiles of every kernel, small enough for a
/// reference in plain loops (conv_f32_winograd and conv_int8_winograd, which take no case so small, get
/// larger ones).
constexpr int64_t kDrawBudget = 150'000;

/// A case of `family`, or of any when it is null; convolutions, which have most candidates, most often.
Case draw_case(Dice& dice, const Family* family = nullptr, int64_t budget = kDrawBudget);

/// The dice of case `index` of a run of seed `seed`.
Dice dice_of(uint64_t seed, int64_t index);

}  // namespace narrow::kernel_cases
