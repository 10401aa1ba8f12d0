#include "data/toml_text.h"

#include <fmt/format.h>

#include <algorithm>

namespace narrow::data {
namespace {

/// What may stand before a string: the rest begin no key and no value.
bool may_precede_string(char last) {
  return std::string_view("\n=[,{.").find(last) != std::string_view::npos;
}

/// The line of the first character that is a control or no ASCII, outside strings and comments, or of a quote
/// that begins no string; 0 when there is none. TOML has no use for them there, and the library's search
/// among the spaces of other scripts is undefined for the rest.
int64_t stray_line(std::string_view text) {
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);  // a byte order mark
  int64_t line = 1;
  char last = '\n';  // before this character, spaces aside
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i], before = last;
    const bool space = c == ' ' || c == '\t' || c == '\n' || c == '\r';
    if (!space && (c <= ' ' || c == 0x7f || static_cast<unsigned char>(c) >= 0x80)) return line;
    if (c == '\n') ++line;
    if (!space || c == '\n') last = c;
    if (c == '#') i = std::min(text.find('\n', i), text.size()) - 1;
    if (c != '"' && c != '\'') continue;
    if (!may_precede_string(before)) return line;
    const std::string_view triple = text.substr(i, 3);
    const bool block = triple == "\"\"\"" || triple == "'''";
    const std::string_view quote = block ? triple : triple.substr(0, 1);
    for (i += quote.size(); i < text.size() && !text.substr(i).starts_with(quote); ++i) {
      if (text[i] == '\n' && !block) break;  // not closed: the parser says so
      if (text[i] == '\n') ++line;
      if (c == '"' && text[i] == '\\') ++i;
    }
    if (i < text.size() && text[i] == '\n')
      --i;  // counted by the outer loop
    else
      i += quote.size() - 1;
  }
  return 0;
}

}  // namespace

Result<toml::table> parse_toml(std::string_view text, const std::string& subject) {
  const auto at = [&](auto line) { return fmt::format("{}:{}", subject, line); };
  if (const int64_t line = stray_line(text); line > 0)
    return Error{.code = Code::invalid_data,
                 .subject = at(line),
                 .expected =
                     "ASCII without control characters outside of strings and comments, quotes around whole "
                     "strings",
                 .got = "another character"};
  toml::parse_result parsed = toml::parse(text, subject);
  if (!parsed)
    return Error{.code = Code::invalid_data,
                 .subject = at(parsed.error().source().begin.line),
                 .expected = "TOML",
                 .got = std::string(parsed.error().description())};
  return std::move(parsed).table();
}

}  // namespace narrow::data
