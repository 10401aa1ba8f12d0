#include "tensor/dtype.h"

#include <iterator>

namespace narrow {
namespace {
struct Entry {
  const char* name;
  int64_t bytes;
  int bits;
};
// In the order of DType.
constexpr Entry kTypes[] = {
    {"undefined", 0, 0},  {"f32", 4, 32},   {"f64", 8, 64},       {"f16", 2, 16},   {"bf16", 2, 16},
    {"s8", 1, 8},         {"u8", 1, 8},     {"s16", 2, 16},       {"u16", 2, 16},   {"s32", 4, 32},
    {"u32", 4, 32},       {"s64", 8, 64},   {"u64", 8, 64},       {"bool", 1, 8},   {"f8e4m3fn", 1, 8},
    {"f8e4m3fnuz", 1, 8}, {"f8e5m2", 1, 8}, {"f8e5m2fnuz", 1, 8}, {"f8e8m0", 1, 8}, {"f6e2m3", 1, 6},
    {"f6e3m2", 1, 6},     {"f4e2m1", 1, 4}, {"s4", 1, 4},         {"u4", 1, 4},     {"s2", 1, 2},
    {"u2", 1, 2}};
static_assert(std::size(kTypes) == static_cast<size_t>(DType::u2) + 1);
const Entry& entry(DType type) { return kTypes[static_cast<size_t>(type)]; }
}  // namespace

const char* to_string(DType type) { return entry(type).name; }

std::optional<DType> parse_dtype(std::string_view name) {
  for (size_t i = 1; i < std::size(kTypes); ++i)
    if (name == kTypes[i].name) return static_cast<DType>(i);
  return std::nullopt;
}

int64_t bytes_of(DType type) { return entry(type).bytes; }
int bits_of(DType type) { return entry(type).bits; }

}  // namespace narrow
