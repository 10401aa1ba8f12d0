#include "kernel_cases/field.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <utility>

#include "base/printable.h"

namespace narrow::kernel_cases {
namespace {

std::string expected(const Field& f) {
  switch (f.kind) {
    case Kind::size:
      return fmt::format("an integer of {} to {}", f.low, f.high);
    case Kind::pair:
      return fmt::format("HEIGHTxWIDTH, each of {} to {}", f.low, f.high);
    case Kind::real:
      return "a finite number";
    case Kind::choice:
      return fmt::format("one of {}", fmt::join(f.choices, " "));
    case Kind::flag:
      return fmt::format("'{}' without a value", f.name);
  }
  return {};
}

Error wrong(const Field& f, std::string_view text) {
  return Error{.code = Code::usage,
               .subject = f.name,
               .expected = expected(f),
               .got = fmt::format("'{}'", printable(text)),
               .hint = {}};
}

/// The whole text as one number.
template <class T>
bool read(std::string_view text, T& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size();
}

bool within(const Field& f, int64_t x) { return x >= f.low && x <= f.high; }

}  // namespace

Field size_field(std::string name, int64_t standard, int64_t low, int64_t high) {
  return {std::move(name), Kind::size, {.a = standard}, low, high, {}};
}

Field pair_field(std::string name, int64_t standard, int64_t low, int64_t high) {
  return {std::move(name), Kind::pair, {.a = standard, .b = standard}, low, high, {}};
}

Field real_field(std::string name, float standard) {
  return {std::move(name), Kind::real, {.real = standard}, 0, 0, {}};
}

Field choice_field(std::string name, std::vector<std::string> choices) {
  return {std::move(name), Kind::choice, {}, 0, 0, std::move(choices)};
}

Field flag_field(std::string name) { return {std::move(name), Kind::flag, {}, 0, 0, {}}; }

std::string print_field(const Field& f, const Value& v) {
  switch (f.kind) {
    case Kind::size:
      return fmt::format("{}={}", f.name, v.a);
    case Kind::pair:
      return fmt::format("{}={}x{}", f.name, v.a, v.b);
    case Kind::real:
      return fmt::format("{}={}", f.name, v.real);  // the shortest text that reads back as the same float
    case Kind::choice:
      return fmt::format("{}={}", f.name, f.choices.at(static_cast<size_t>(v.a)));
    case Kind::flag:
      return f.name;
  }
  return {};
}

Result<Value> parse_value(const Field& f, std::string_view text) {
  Value v;
  bool fine = false;
  switch (f.kind) {
    case Kind::size:
      fine = read(text, v.a) && within(f, v.a);
      break;
    case Kind::pair: {
      const size_t x = text.find('x');
      fine = x != std::string_view::npos && read(text.substr(0, x), v.a) && read(text.substr(x + 1), v.b) &&
             within(f, v.a) && within(f, v.b);
      break;
    }
    case Kind::real:
      fine = read(text, v.real) && std::isfinite(v.real);
      break;
    case Kind::choice: {
      const auto found = std::find(f.choices.begin(), f.choices.end(), text);
      fine = found != f.choices.end();
      v.a = found - f.choices.begin();
      break;
    }
    case Kind::flag:
      break;
  }
  if (!fine) return wrong(f, text);
  return v;
}

}  // namespace narrow::kernel_cases
