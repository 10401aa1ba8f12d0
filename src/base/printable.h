// Text out of files that people read and JSON carries: valid UTF-8 without control characters.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace narrow {

/// Bytes of the well-formed UTF-8 sequence that `text` begins with; 0 when there is none (RFC 3629: no
/// overlong forms, no surrogates, nothing above U+10FFFF).
size_t utf8_length(std::string_view text);

bool is_utf8(std::string_view text);

/// `text` with every byte that is not part of well-formed UTF-8 written as \xHH; unchanged when there is
/// none.
std::string as_utf8(std::string_view text);

/// as_utf8, and control characters (C0, DEL, C1, line separators, changes of writing direction) as \xHH too.
/// `keep` names control characters that stay, such as "\n" in a text of several lines.
std::string printable(std::string_view text, std::string_view keep = {});

}  // namespace narrow
