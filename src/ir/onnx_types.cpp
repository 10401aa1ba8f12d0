#include "ir/onnx_types.h"

#include <utility>

namespace narrow::ir {
namespace {
constexpr std::pair<int64_t, DType> kCodes[] = {
    {1, DType::f32},         {2, DType::u8},        {3, DType::s8},          {4, DType::u16},
    {5, DType::s16},         {6, DType::s32},       {7, DType::s64},         {9, DType::boolean},
    {10, DType::f16},        {11, DType::f64},      {12, DType::u32},        {13, DType::u64},
    {16, DType::bf16},       {17, DType::f8e4m3fn}, {18, DType::f8e4m3fnuz}, {19, DType::f8e5m2},
    {20, DType::f8e5m2fnuz}, {21, DType::u4},       {22, DType::s4},         {23, DType::f4e2m1},
    {24, DType::f8e8m0},     {25, DType::u2},       {26, DType::s2},         {27, DType::f6e2m3},
    {28, DType::f6e3m2}};
}  // namespace

std::optional<DType> dtype_of_onnx(int64_t code) {
  for (const auto& [number, type] : kCodes)
    if (number == code) return type;
  return std::nullopt;
}

int64_t onnx_of_dtype(DType type) {
  for (const auto& [number, candidate] : kCodes)
    if (candidate == type) return number;
  return 0;
}

}  // namespace narrow::ir
