// Element types, named as in ONNX with narrow's short names.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "numerics/float_formats.h"

namespace narrow {

enum class DType : uint8_t { undefined, f32, f64, f16, bf16, s8, u8, s16, u16, s32, u32, s64, u64, boolean };

const char* to_string(DType type);
std::optional<DType> parse_dtype(std::string_view name);
/// Bytes of one element; 0 for undefined.
int64_t bytes_of(DType type);
constexpr bool is_float(DType t) {
  return t == DType::f32 || t == DType::f64 || t == DType::f16 || t == DType::bf16;
}
constexpr bool is_int8(DType t) { return t == DType::s8 || t == DType::u8; }
constexpr bool is_integer(DType t) { return t >= DType::s8 && t <= DType::u64; }

template <class T>
struct DTypeOf;
#define NARROW_DTYPE_OF(cpp, name)              \
  template <>                                   \
  struct DTypeOf<cpp> {                         \
    static constexpr DType value = DType::name; \
  };
NARROW_DTYPE_OF(float, f32)
NARROW_DTYPE_OF(double, f64)
NARROW_DTYPE_OF(f16, f16)
NARROW_DTYPE_OF(bf16, bf16)
NARROW_DTYPE_OF(int8_t, s8)
NARROW_DTYPE_OF(uint8_t, u8)
NARROW_DTYPE_OF(int16_t, s16)
NARROW_DTYPE_OF(uint16_t, u16)
NARROW_DTYPE_OF(int32_t, s32)
NARROW_DTYPE_OF(uint32_t, u32)
NARROW_DTYPE_OF(int64_t, s64)
NARROW_DTYPE_OF(uint64_t, u64)
NARROW_DTYPE_OF(bool, boolean)
#undef NARROW_DTYPE_OF

/// Calls f(T{}) with the C++ type of `type` and returns true; false for undefined.
template <class F>
bool dispatch(DType type, F&& f) {
  switch (type) {
    case DType::f32:
      f(float{});
      return true;
    case DType::f64:
      f(double{});
      return true;
    case DType::f16:
      f(f16{});
      return true;
    case DType::bf16:
      f(bf16{});
      return true;
    case DType::s8:
      f(int8_t{});
      return true;
    case DType::u8:
      f(uint8_t{});
      return true;
    case DType::s16:
      f(int16_t{});
      return true;
    case DType::u16:
      f(uint16_t{});
      return true;
    case DType::s32:
      f(int32_t{});
      return true;
    case DType::u32:
      f(uint32_t{});
      return true;
    case DType::s64:
      f(int64_t{});
      return true;
    case DType::u64:
      f(uint64_t{});
      return true;
    case DType::boolean:
      f(bool{});
      return true;
    case DType::undefined:
      return false;
  }
  return false;
}

}  // namespace narrow
