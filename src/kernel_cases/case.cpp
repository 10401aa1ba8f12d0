#include "kernel_cases/case.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <optional>

#include "base/check.h"
#include "base/printable.h"
#include "kernel_cases/family.h"

namespace narrow::kernel_cases {
namespace {

/// The next word of `line`, which loses it; empty at the end.
std::string_view take_word(std::string_view& line) {
  constexpr std::string_view kBlank = " \t\r\n";
  line.remove_prefix(std::min(line.find_first_not_of(kBlank), line.size()));
  const std::string_view word = line.substr(0, line.find_first_of(kBlank));
  line.remove_prefix(word.size());
  return word;
}

Error unknown_family(std::string_view name) {
  std::vector<std::string_view> names;
  for (const Family& family : families()) names.push_back(family.name);
  return Error{.code = Code::usage,
               .subject = "case",
               .expected = fmt::format("a family first, one of {}", fmt::join(names, " ")),
               .got = name.empty() ? "nothing" : fmt::format("'{}'", printable(name)),
               .hint = {}};
}

Error unknown_field(const Family& family, std::string_view name) {
  std::vector<std::string_view> names;
  for (const Field& field : family.fields) names.push_back(field.name);
  return Error{.code = Code::usage,
               .subject = fmt::format("{} case", family.name),
               .expected = fmt::format("fields out of {}", fmt::join(names, " ")),
               .got = fmt::format("'{}'", printable(name)),
               .hint = {}};
}

/// "name=value", or "name" of a flag.
Status read_field(Case& c, std::vector<bool>& seen, std::string_view word) {
  const Family& family = *c.family;
  const size_t equals = word.find('=');
  const std::string_view name = word.substr(0, equals);
  const auto field = std::find_if(family.fields.begin(), family.fields.end(),
                                  [&](const Field& f) { return f.name == name; });
  if (field == family.fields.end()) return unknown_field(family, name);
  const auto at = static_cast<size_t>(field - family.fields.begin());
  if (seen[at])
    return Error{.code = Code::usage,
                 .subject = fmt::format("{} case", family.name),
                 .expected = fmt::format("'{}' once", name),
                 .got = "it again",
                 .hint = {}};
  seen[at] = true;
  if (field->kind == Kind::flag && equals == std::string_view::npos) {
    c.values[at].a = 1;
    return {};
  }
  NARROW_TRY(c.values[at],
             parse_value(*field, equals == std::string_view::npos ? "" : word.substr(equals + 1)));
  return {};
}

}  // namespace

size_t Case::index(std::string_view name) const {
  const auto& fields = family->fields;
  const auto found =
      std::find_if(fields.begin(), fields.end(), [&](const Field& field) { return field.name == name; });
  NARROW_CHECK(found != fields.end());
  return static_cast<size_t>(found - fields.begin());
}

DType Case::type(std::string_view name) const {
  const size_t at = index(name);
  const std::string& word = family->fields[at].choices.at(static_cast<size_t>(values[at].a));
  const std::optional<DType> type = parse_dtype(word);
  NARROW_CHECK(type.has_value() || word == "none");
  return type.value_or(DType::undefined);
}

void Case::set(std::string_view name, int64_t a, int64_t b) {
  values[index(name)] = {.a = a, .b = b, .real = 0};
}
void Case::set_real(std::string_view name, float real) { values[index(name)].real = real; }

void Case::set_choice(std::string_view name, std::string_view word) {
  const size_t at = index(name);
  const auto& choices = family->fields[at].choices;
  const auto found = std::find(choices.begin(), choices.end(), word);
  NARROW_CHECK(found != choices.end());
  values[at].a = found - choices.begin();
}

Case standard_case(const Family& family) {
  Case c{.family = &family, .values = {}};
  for (const Field& field : family.fields) c.values.push_back(field.standard);
  return c;
}

std::string text(const Case& c) {
  std::string line = c.family->name;
  for (size_t i = 0; i < c.values.size(); ++i)
    if (const Field& field = c.family->fields[i]; c.values[i] != field.standard)
      line += ' ' + print_field(field, c.values[i]);
  return line;
}

Result<Case> parse_case(std::string_view line) {
  const std::string_view name = take_word(line);
  const Family* family = find_family(name);
  if (family == nullptr) return unknown_family(name);
  Case c = standard_case(*family);
  std::vector<bool> seen(c.values.size());
  for (std::string_view word = take_word(line); !word.empty(); word = take_word(line))
    NARROW_DO(read_field(c, seen, word));
  if (family->complete != nullptr) family->complete(c);
  if (const std::string wrong = family->invalid(c); !wrong.empty())
    return Error{.code = Code::usage,
                 .subject = fmt::format("{} case", name),
                 .expected = "fields that fit together",
                 .got = wrong,
                 .hint = {}};
  return c;
}

}  // namespace narrow::kernel_cases
