// How much memory this process may ask for, and allocation failures as errors.
#pragma once

#include <cstdint>
#include <new>
#include <stdexcept>
#include <string>

#include "base/result.h"

namespace narrow {

/// Bytes: the machine's memory, less where a control group, RLIMIT_AS or the environment variable
/// NARROW_MEMORY_LIMIT (bytes) allow less. Read once.
int64_t memory_limit_bytes();

/// Error unsupported naming `subject` when `bytes` are more than memory_limit_bytes().
Status check_memory(int64_t bytes, const std::string& subject);

/// What check_memory says when an allocation of unknown size failed.
Error out_of_memory(const std::string& subject);

/// f(), with failed allocations (which the standard library throws) as the Error of its Result.
template <class F>
auto within_memory(const std::string& subject, F&& f) -> decltype(f()) {
  try {
    return f();
  } catch (const std::bad_alloc&) {
    return out_of_memory(subject);
  } catch (const std::length_error&) {  // of a container asked for more than any machine has
    return out_of_memory(subject);
  }
}

}  // namespace narrow
