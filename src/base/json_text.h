// JSON as text that any reader takes, whatever the strings in it hold.
#pragma once

#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"

namespace narrow {

/// As text; bytes that are no UTF-8 become U+FFFD (dump() alone would throw). `indent` -1: on one line.
std::string json_text(const Json& json, int indent = -1);

/// Containers inside containers that parse_json() takes: more than any file of narrow has, few enough for
/// functions that call themselves.
constexpr int kMostJsonDepth = 64;

/// Errors: invalid_data naming `subject` (no JSON, nested too deeply).
Result<Json> parse_json(std::string_view text, const std::string& subject);

/// The member, or null when `json` is no object or has none.
const Json& member(const Json& json, const char* key);

/// The member, when it is a text; otherwise "".
std::string text_member(const Json& json, const char* key);

/// The member, when it is a number; otherwise 0.
double number_member(const Json& json, const char* key);

}  // namespace narrow
