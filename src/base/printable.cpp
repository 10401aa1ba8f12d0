#include "base/printable.h"

#include <fmt/format.h>

#include <cstdint>
#include <iterator>

namespace narrow {
namespace {

uint8_t byte_at(std::string_view text, size_t i) { return static_cast<uint8_t>(text[i]); }

/// The code point of a well-formed sequence of `length` bytes.
uint32_t code_point(std::string_view text, size_t length) {
  if (length == 1) return byte_at(text, 0);
  uint32_t code = byte_at(text, 0) & (0x7fU >> length);
  for (size_t i = 1; i < length; ++i) code = code << 6 | (byte_at(text, i) & 0x3fU);
  return code;
}

bool is_control(uint32_t code) {
  const bool c0_or_c1 = code < 0x20 || (code >= 0x7f && code < 0xa0);
  const bool separator = code == 0x2028 || code == 0x2029;
  const bool direction = code == 0x200e || code == 0x200f || (code >= 0x202a && code <= 0x202e) ||
                         (code >= 0x2066 && code <= 0x2069);
  return c0_or_c1 || separator || direction;
}

/// Copies well-formed sequences that `stays` accepts, escapes every other byte.
template <class Stays>
std::string escaped(std::string_view text, Stays&& stays) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const size_t length = utf8_length(text);
    const size_t step = length == 0 ? 1 : length;
    if (length > 0 && stays(code_point(text, length)))
      out += text.substr(0, step);
    else
      for (size_t i = 0; i < step; ++i)
        fmt::format_to(std::back_inserter(out), "\\x{:02x}", byte_at(text, i));
    text.remove_prefix(step);
  }
  return out;
}

}  // namespace

size_t utf8_length(std::string_view text) {
  if (text.empty()) return 0;
  const uint8_t first = byte_at(text, 0);
  if (first < 0x80) return 1;
  if (first < 0xc2 || first > 0xf4) return 0;
  const size_t length = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  if (text.size() < length) return 0;
  for (size_t i = 1; i < length; ++i)
    if ((byte_at(text, i) & 0xc0U) != 0x80U) return 0;
  const uint8_t second = byte_at(text, 1);
  const bool overlong = (first == 0xe0 && second < 0xa0) || (first == 0xf0 && second < 0x90);
  const bool beyond = (first == 0xed && second >= 0xa0) || (first == 0xf4 && second >= 0x90);
  return overlong || beyond ? 0 : length;
}

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const size_t length = utf8_length(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

std::string as_utf8(std::string_view text) {
  return escaped(text, [](uint32_t) { return true; });
}

std::string printable(std::string_view text, std::string_view keep) {
  return escaped(text, [keep](uint32_t code) {
    return !is_control(code) || (code < 0x80 && keep.find(static_cast<char>(code)) != std::string_view::npos);
  });
}

}  // namespace narrow
