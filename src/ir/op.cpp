#include "ir/op.h"

#include <array>
#include <string>
#include <unordered_map>

namespace narrow::ir {
namespace {
constexpr std::array kNames = {
#define NARROW_OP(name) #name,
#include "ir/ops.inc"
#undef NARROW_OP
};
}  // namespace

const char* to_string(Op op) { return kNames.at(static_cast<size_t>(op)); }

std::optional<Op> parse_op(std::string_view name) {
  static const auto index = [] {
    std::unordered_map<std::string_view, Op> map;
    for (size_t i = 0; i < kNames.size(); ++i) map.emplace(kNames.at(i), static_cast<Op>(i));
    return map;
  }();
  const auto it = index.find(name);
  return it == index.end() ? std::nullopt : std::optional(it->second);
}

}  // namespace narrow::ir
