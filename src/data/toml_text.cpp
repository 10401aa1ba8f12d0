#include "data/toml_text.h"

#include <fmt/format.h>

#include <string>

namespace narrow::data {
namespace {

bool is_control(char c) { return (c >= 0 && c < ' ' && c != '\t' && c != '\n' && c != '\r') || c == 0x7f; }

/// The line of the first control character, 0 when there is none: TOML has no use for one anywhere.
int64_t control_line(std::string_view text) {
  int64_t line = 1;
  for (const char c : text) {
    if (is_control(c)) return line;
    if (c == '\n') ++line;
  }
  return 0;
}

/// Every byte beyond ASCII as %XX, and % itself: the library looks for spaces of other scripts in places
/// where its own assumptions forbid them. Lines stay where they are.
std::string encoded(std::string_view text) {
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);  // a byte order mark
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x80 || c == '%')
      out += fmt::format("%{:02X}", byte);
    else
      out += c;
  }
  return out;
}

int digit(char c) { return c <= '9' ? c - '0' : c - 'A' + 10; }

std::string decoded(const std::string& text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size()) {
      out += static_cast<char>(digit(text[i + 1]) * 16 + digit(text[i + 2]));
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

/// The texts of a table and of what is in it, as they were. Nesting is what the library allowed.
void decode(toml::node& node) {  // NOLINT(misc-no-recursion)
  if (auto* text = node.as_string()) *text = decoded(text->get());
  if (auto* list = node.as_array())
    for (toml::node& element : *list) decode(element);
  if (auto* table = node.as_table())
    for (auto&& pair : *table) decode(pair.second);
}

}  // namespace

Result<toml::table> parse_toml(std::string_view text, const std::string& subject) {
  const auto at = [&](auto line) { return fmt::format("{}:{}", subject, line); };
  if (const int64_t line = control_line(text); line > 0)
    return Error{.code = Code::invalid_data,
                 .subject = at(line),
                 .expected = "text without control characters",
                 .got = "one"};
  toml::parse_result parsed = toml::parse(encoded(text), subject);
  if (!parsed)
    return Error{.code = Code::invalid_data,
                 .subject = at(parsed.error().source().begin.line),
                 .expected = "TOML",
                 .got = std::string(parsed.error().description())};
  toml::table table = std::move(parsed).table();
  decode(table);
  return table;
}

}  // namespace narrow::data
