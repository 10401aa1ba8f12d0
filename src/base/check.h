// NARROW_CHECK: for what only a defect of narrow can break. Input never reaches a check.
#pragma once

namespace narrow {
[[noreturn]] void check_failed(const char* condition, const char* file, int line);
}

#define NARROW_CHECK(condition) \
  (static_cast<bool>(condition) ? void(0) : ::narrow::check_failed(#condition, __FILE__, __LINE__))
