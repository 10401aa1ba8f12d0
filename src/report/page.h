// Text for a page: data a script block can hold, and a template filled in.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "base/json.h"

namespace narrow::reports {

/// JSON on one line that stays inside <script type="application/json">: every '<' is written \u003c, so
/// neither
/// "</script" nor "<!--" can occur, whatever a model calls its layers. Bytes that are no UTF-8 become U+FFFD.
std::string script_json(const Json& json);

/// `page` with every {{name}} of `parts` replaced. What was put in is not searched again.
std::string fill_in(std::string_view page, const std::map<std::string, std::string_view, std::less<>>& parts);

}  // namespace narrow::reports
