// Is what a kernel stored what it has to be?
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "kernel_cases/problem.h"

namespace narrow::kernel_cases {

struct Mismatch {
  int64_t element = 0;
  std::string where;     // "dst[0,3,2,17]"
  std::string expected;  // "12", "0.25 (0.2499999 to 0.2500001)"
  std::string got;
};

/// The first element that is wrong. Without `real`, elements have to be the bytes of `want`. Otherwise the
/// kernel's result before it is stored may lie anywhere in real[i] +- bounds[accuracy][i], and as rounding to
/// a type never turns two numbers around, what is stored lies between the stored ends of that interval:
/// no element gets more than its own rounding. NaN has to be NaN.
std::optional<Mismatch> first_mismatch(const Output& output, const uint8_t* got, size_t accuracy);

/// The first element in which two runs that have to give the same bits differ. Any NaN is as good as another.
std::optional<Mismatch> first_difference(const Output& output, const uint8_t* want, const uint8_t* got);

}  // namespace narrow::kernel_cases
