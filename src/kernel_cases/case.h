// A kernel case: one line of text that says everything about one call of a kernel, its data included.
//
//   conv src=u8 weights=s8 dst=u8 h=56 w=56 c=64 oc=64 kernel=3x3 pad=1x1 out=56x56 bias act=relu seed=7
//
// The family, then fields in any order; those that have their default are left out. text(parse_case(line)) is
// the line with its fields in the family's order.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "kernel_cases/field.h"
#include "tensor/dtype.h"

namespace narrow::kernel_cases {

struct Family;

struct Case {
  const Family* family = nullptr;
  std::vector<Value> values;  // one for each field of the family

  /// Fields by name; the name has to be one of the family's.
  int64_t size(std::string_view name) const { return at(name).a; }
  int64_t height(std::string_view name) const { return at(name).a; }
  int64_t width(std::string_view name) const { return at(name).b; }
  bool flag(std::string_view name) const { return at(name).a != 0; }
  int64_t choice(std::string_view name) const { return at(name).a; }
  float real(std::string_view name) const { return at(name).real; }
  /// A choice whose words are types; "none" is DType::undefined.
  DType type(std::string_view name) const;
  void set(std::string_view name, int64_t a, int64_t b = 0);
  void set_real(std::string_view name, float real);
  /// `word` has to be one of the field's.
  void set_choice(std::string_view name, std::string_view word);

  bool operator==(const Case&) const = default;

 private:
  size_t index(std::string_view name) const;
  const Value& at(std::string_view name) const { return values[index(name)]; }
};

/// All fields at their defaults.
Case standard_case(const Family& family);

std::string text(const Case& c);

/// Errors (usage): an unknown family or field, a field twice, a value out of bounds, a combination that is
/// no case.
Result<Case> parse_case(std::string_view line);

}  // namespace narrow::kernel_cases
