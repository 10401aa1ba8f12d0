#include <cstdio>
#include <cstdlib>

#include "api/inner.h"

NARROW_BEGIN_NAMESPACE

const char* to_string(Code code) { return inner::to_string(static_cast<inner::Code>(code)); }

std::string Error::message() const {
  const inner::Error same{.code = static_cast<inner::Code>(code),
                          .subject = subject,
                          .expected = expected,
                          .got = got,
                          .hint = hint};
  return same.message();
}

void detail::no_value(const Error& error) {
  std::fprintf(stderr, "narrow: the value of an error was taken: %s\n", error.message().c_str());
  std::abort();
}

NARROW_END_NAMESPACE
