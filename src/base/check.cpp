#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace narrow {

void check_failed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "narrow: defect: %s does not hold (%s:%d); please report this\n", condition, file,
               line);
  std::abort();
}

}  // namespace narrow
