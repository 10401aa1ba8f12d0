// Where a long step reports how far it is; the command line draws it, a library user may ignore it.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

namespace narrow {

/// Called with the step's name, how much is done and the total (0 when unknown). Must be cheap.
using Progress = std::function<void(std::string_view step, int64_t done, int64_t total)>;

inline void report(const Progress& progress, std::string_view step, int64_t done, int64_t total) {
  if (progress) progress(step, done, total);
}

}  // namespace narrow
