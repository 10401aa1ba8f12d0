// TOML that somebody else wrote, as a table or an error. Includes toml++ as every reader of TOML here has to.
#pragma once

#include <string>
#include <string_view>

// The distribution's library is compiled with exceptions; without them the header has to bring its own code.
// What it asserts it also promises the optimizer, and among that is what a text can break ("[="): neither may
// happen.
#undef TOML_HEADER_ONLY
#undef TOML_SHARED_LIB
#define TOML_HEADER_ONLY 1
#define TOML_EXCEPTIONS 0
#define TOML_ASSERT(expr) static_assert(true)
#include <toml++/impl/preprocessor.h>
#undef TOML_ASSERT_ASSUME
#define TOML_ASSERT_ASSUME(expr) static_assert(true)
#include <toml++/toml.h>

#include "base/result.h"

namespace narrow::data {

/// Errors: invalid_data naming `subject` and the line.
Result<toml::table> parse_toml(std::string_view text, const std::string& subject);

}  // namespace narrow::data
