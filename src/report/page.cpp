#include "report/page.h"

#include "base/json_text.h"

namespace narrow::reports {

std::string script_json(const Json& json) {
  const std::string plain = json_text(json);
  std::string text;
  text.reserve(plain.size());
  // '<' occurs only inside strings of JSON, where the escape means the same.
  for (const char c : plain) {
    if (c == '<')
      text += "\\u003c";
    else
      text += c;
  }
  return text;
}

std::string fill_in(std::string_view page,
                    const std::map<std::string, std::string_view, std::less<>>& parts) {
  std::string text;
  while (!page.empty()) {
    const size_t open = page.find("{{");
    const size_t close = open == page.npos ? page.npos : page.find("}}", open);
    if (close == page.npos) break;
    const auto part = parts.find(page.substr(open + 2, close - open - 2));
    text += page.substr(0, open);
    text += part == parts.end() ? page.substr(open, close + 2 - open) : part->second;
    page.remove_prefix(close + 2);
  }
  return text.append(page);
}

}  // namespace narrow::reports
