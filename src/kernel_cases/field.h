// What a line of a kernel case is made of: named values with a default and bounds.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace narrow::kernel_cases {

/// size: 56. pair: 3x3 (height x width). real: 0.02. choice: one of some words. flag: there or not.
enum class Kind : uint8_t { size, pair, real, choice, flag };

/// size and flag use `a`, pair `a` and `b`, choice the index of its word as `a`, real `real`.
struct Value {
  int64_t a = 0, b = 0;
  float real = 0;
  bool operator==(const Value&) const = default;
};

struct Field {
  std::string name;
  Kind kind = Kind::size;
  Value standard = {};               // what it is when the line does not say
  int64_t low = 0, high = 0;         // of size, and of both numbers of a pair
  std::vector<std::string> choices;  // of choice
};

/// `high` default: 2^20, so that sums and products of a few extents stay within an int64_t.
Field size_field(std::string name, int64_t standard, int64_t low = 1, int64_t high = 1 << 20);
Field pair_field(std::string name, int64_t standard, int64_t low = 1, int64_t high = 1 << 20);
Field real_field(std::string name, float standard);
Field choice_field(std::string name, std::vector<std::string> choices);  // standard: the first
Field flag_field(std::string name);

/// "kernel=3x3", "bias".
std::string print_field(const Field& field, const Value& value);

/// The text behind `=`; of a flag there is none. Errors (usage) name the field, its bounds or its words.
Result<Value> parse_value(const Field& field, std::string_view text);

}  // namespace narrow::kernel_cases
