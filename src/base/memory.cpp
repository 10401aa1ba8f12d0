#include "base/memory.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <fstream>
#include <string_view>

namespace narrow {
namespace {

/// "max" and files that are not there allow everything.
int64_t control_group_limit(int64_t fallback) {
  for (const char* path : {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}) {
    int64_t bytes = 0;
    if (std::ifstream(path) >> bytes && bytes > 0) return std::min(bytes, fallback);
  }
  return fallback;
}

int64_t find_limit() {
  int64_t limit = static_cast<int64_t>(::sysconf(_SC_PHYS_PAGES)) * ::sysconf(_SC_PAGESIZE);
  limit = control_group_limit(limit);
  rlimit address_space{};
  if (::getrlimit(RLIMIT_AS, &address_space) == 0 && address_space.rlim_cur != RLIM_INFINITY)
    limit = static_cast<int64_t>(std::min<rlim_t>(static_cast<rlim_t>(limit), address_space.rlim_cur));
  if (const char* text = std::getenv("NARROW_MEMORY_LIMIT"); text != nullptr) {
    int64_t wanted = 0;
    const std::string_view digits(text);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), wanted);
    if (error == std::errc() && end == digits.data() + digits.size() && wanted > 0)
      limit = std::min(limit, wanted);
  }
  return limit;
}

std::string gigabytes(int64_t bytes) { return fmt::format("{:.1f} GB", static_cast<double>(bytes) / 1e9); }

}  // namespace

int64_t memory_limit_bytes() {
  static const int64_t limit = find_limit();
  return limit;
}

Status check_memory(int64_t bytes, const std::string& subject) {
  if (bytes <= memory_limit_bytes()) return {};
  return Error{.code = Code::unsupported,
               .subject = subject,
               .expected = "at most the " + gigabytes(memory_limit_bytes()) + " of memory there are",
               .got = gigabytes(bytes),
               .hint = "use a smaller batch or model"};
}

Error out_of_memory(const std::string& subject) {
  return Error{.code = Code::unsupported,
               .subject = subject,
               .expected = "enough memory",
               .got = "too little",
               .hint = "use a smaller batch or model"};
}

}  // namespace narrow
