#include "kernel_cases/problem.h"

namespace narrow::kernel_cases {

int64_t Output::count() const {
  int64_t n = 1;
  for (const int64_t e : extents) n *= e;
  return n;
}

int64_t Output::bytes() const { return count() * bytes_of(format.type); }

}  // namespace narrow::kernel_cases
