#include <algorithm>
#include <vector>

#include "kernel_cases/family.h"

namespace narrow::kernel_cases {

#define NARROW_FAMILY(name) Family name##_family();
#include "kernel_cases/families.inc"
#undef NARROW_FAMILY

std::span<const Family> families() {
  static const std::vector<Family> table = {
#define NARROW_FAMILY(name) name##_family(),
#include "kernel_cases/families.inc"
#undef NARROW_FAMILY
  };
  return table;
}

const Family* find_family(std::string_view name) {
  const auto all = families();
  const auto found = std::find_if(all.begin(), all.end(), [&](const Family& f) { return f.name == name; });
  return found == all.end() ? nullptr : &*found;
}

}  // namespace narrow::kernel_cases
