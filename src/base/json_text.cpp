#include "base/json_text.h"

#include <fmt/format.h>

#include <algorithm>

namespace narrow {
namespace {

/// Most brackets open at once outside strings; meaningful for JSON, harmless for anything else.
int depth_of(std::string_view text) {
  int depth = 0, most = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string && c == '\\')
      ++i;
    else if (c == '"')
      in_string = !in_string;
    else if (!in_string && (c == '[' || c == '{'))
      most = std::max(most, ++depth);
    else if (!in_string && (c == ']' || c == '}'))
      --depth;
    if (most > kMostJsonDepth) return most;
  }
  return most;
}

}  // namespace

std::string json_text(const Json& json, int indent) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

Result<Json> parse_json(std::string_view text, const std::string& subject) {
  if (depth_of(text) > kMostJsonDepth)
    return Error{.code = Code::invalid_data,
                 .subject = subject,
                 .expected = fmt::format("JSON nested at most {} deep", kMostJsonDepth),
                 .got = "more"};
  Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded())
    return Error{.code = Code::invalid_data, .subject = subject, .expected = "JSON", .got = "something else"};
  return json;
}

const Json& member(const Json& json, const char* key) {
  static const Json kNull;
  if (!json.is_object()) return kNull;
  const auto it = json.find(key);
  return it == json.end() ? kNull : *it;
}

std::string text_member(const Json& json, const char* key) {
  const Json& text = member(json, key);
  return text.is_string() ? text.get<std::string>() : "";
}

double number_member(const Json& json, const char* key) {
  const Json& value = member(json, key);
  return value.is_number() ? value.get<double>() : 0;
}

}  // namespace narrow
