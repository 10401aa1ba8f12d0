// The families of kernels that cases are made for. One file of families/ each, one line in families.inc.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/cpu.h"
#include "kernel_cases/case.h"
#include "kernel_cases/dice.h"
#include "kernel_cases/problem.h"

namespace narrow::kernel_cases {

/// One line of `narrow-kernels list`.
struct Listed {
  std::string name;
  Isa isa;
  std::string takes;  // "u8 s8 x s8; dense, groups, depthwise"
};

struct Family {
  std::string name;
  std::string about;  // the formula
  std::vector<Field> fields;
  /// Fills in what the line left to be derived ("out" of a convolution). May be null.
  void (*complete)(Case& c) = nullptr;
  /// Empty for a case that can be posed, otherwise what does not fit together.
  std::string (*invalid)(const Case& c) = nullptr;
  /// A valid case of about at most `budget` multiply-adds or elements.
  Case (*draw)(Dice& dice, int64_t budget) = nullptr;
  /// Cases a little smaller than this one, beside those that shrink() tries by itself. May be null.
  std::vector<Case> (*smaller)(const Case& c) = nullptr;
  Problem (*pose)(const Case& c) = nullptr;
  std::vector<Listed> (*candidates)() = nullptr;
};

std::span<const Family> families();
/// Null when there is none of this name.
const Family* find_family(std::string_view name);

}  // namespace narrow::kernel_cases
