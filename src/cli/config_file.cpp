#include "cli/config_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "base/file.h"
#include "data/toml_text.h"

namespace narrow::cli {
namespace {

std::optional<std::string> text_of(const toml::node& node) {
  if (const auto* text = node.as_string()) return text->get();
  if (const auto* integer = node.as_integer()) return fmt::format("{}", integer->get());
  if (const auto* number = node.as_floating_point()) return fmt::format("{}", number->get());
  return std::nullopt;
}

/// The arguments one key stands for.
Result<std::vector<std::string>> arguments_of(const std::string& key, const toml::node& node,
                                              const std::string& file) {
  std::vector<std::string> out;
  const std::string option = "--" + key;
  const auto add = [&](const toml::node& value) {
    const std::optional<std::string> text = text_of(value);
    if (!text) return false;
    if (key != "model") out.push_back(option);
    out.push_back(*text);
    return true;
  };
  bool good = true;
  if (const auto* flag = node.as_boolean()) {
    if (flag->get()) out.push_back(option);
  } else if (const auto* list = node.as_array()) {
    for (const toml::node& element : *list) good = good && add(element);
  } else {
    good = add(node);
  }
  if (good) return out;
  return Error{.code = Code::invalid_argument,
               .subject = fmt::format("{}: key '{}'", file, key),
               .expected = "a text, number, true or false, or a list of texts and numbers",
               .got = "something else",
               .hint = "keys are the options' names"};
}

}  // namespace

Result<std::vector<std::string>> expand_config(std::vector<std::string> arguments) {
  const auto at = std::find(arguments.begin(), arguments.end(), "--config");
  if (at == arguments.end() || at + 1 == arguments.end()) return arguments;
  const std::string file = *(at + 1);
  arguments.erase(at, at + 2);
  NARROW_TRY(const auto content, MappedFile::open(file));
  NARROW_TRY(const toml::table table, data::parse_toml(content->text(), file));
  for (const auto& [key, node] : table) {
    const std::string name(key.str());
    if (std::find(arguments.begin(), arguments.end(), "--" + name) != arguments.end()) continue;
    NARROW_TRY(const std::vector<std::string> added, arguments_of(name, node, file));
    arguments.insert(arguments.end(), added.begin(), added.end());
  }
  return arguments;
}

}  // namespace narrow::cli
