#include "base/error.h"

#include "base/printable.h"

namespace narrow {

const char* to_string(Code code) {
  switch (code) {
    case Code::usage:
      return "usage";
    case Code::invalid_argument:
      return "invalid_argument";
    case Code::invalid_model:
      return "invalid_model";
    case Code::invalid_data:
      return "invalid_data";
    case Code::unsupported:
      return "unsupported";
    case Code::not_found:
      return "not_found";
    case Code::io:
      return "io";
    case Code::numerical:
      return "numerical";
    case Code::internal:
      return "internal";
  }
  return "unknown";
}

std::string Error::message() const {
  std::string text = subject;
  if (!expected.empty()) text += (text.empty() ? "expected " : ": expected ") + expected;
  if (!got.empty()) text += (text.empty() ? "" : expected.empty() ? ": " : ", got ") + got;
  if (!hint.empty()) text += " (" + hint + ")";
  return printable(text);
}

}  // namespace narrow
