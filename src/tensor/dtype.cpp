#include "tensor/dtype.h"

#include <array>

namespace narrow {
namespace {
constexpr std::array kNames = {"undefined", "f32", "f64", "f16", "bf16", "s8",  "u8",
                               "s16",       "u16", "s32", "u32", "s64",  "u64", "bool"};
constexpr std::array<int64_t, kNames.size()> kBytes = {0, 4, 8, 2, 2, 1, 1, 2, 2, 4, 4, 8, 8, 1};
}  // namespace

const char* to_string(DType type) { return kNames.at(static_cast<size_t>(type)); }

std::optional<DType> parse_dtype(std::string_view name) {
  for (size_t i = 1; i < kNames.size(); ++i)
    if (name == kNames.at(i)) return static_cast<DType>(i);
  return std::nullopt;
}

int64_t bytes_of(DType type) { return kBytes.at(static_cast<size_t>(type)); }

}  // namespace narrow
