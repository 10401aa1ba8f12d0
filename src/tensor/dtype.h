// Element types, named as in ONNX with narrow's short names.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "numerics/float_formats.h"
#include "numerics/int2.h"
#include "numerics/int4.h"

namespace narrow {

/// The types after boolean are the narrow ones: one byte an element in memory whatever their bits, the code
/// of a float or the value of an integer; packed only in files (tensor/packing.h).
enum class DType : uint8_t {
  undefined,
  f32,
  f64,
  f16,
  bf16,
  s8,
  u8,
  s16,
  u16,
  s32,
  u32,
  s64,
  u64,
  boolean,
  f8e4m3fn,
  f8e4m3fnuz,
  f8e5m2,
  f8e5m2fnuz,
  f8e8m0,
  f6e2m3,
  f6e3m2,
  f4e2m1,
  s4,
  u4,
  s2,
  u2
};

const char* to_string(DType type);
std::optional<DType> parse_dtype(std::string_view name);
/// Bytes of one element in memory; 0 for undefined.
int64_t bytes_of(DType type);
/// Bits of one element in a file.
int bits_of(DType type);
constexpr bool is_narrow_float(DType t) { return t >= DType::f8e4m3fn && t <= DType::f4e2m1; }
constexpr bool is_narrow_integer(DType t) { return t >= DType::s4 && t <= DType::u2; }
/// Float or integer that dispatch() knows nothing of.
constexpr bool is_narrow(DType t) { return is_narrow_float(t) || is_narrow_integer(t); }
constexpr bool is_float(DType t) {
  return t == DType::f32 || t == DType::f64 || t == DType::f16 || t == DType::bf16 || is_narrow_float(t);
}
constexpr bool is_int8(DType t) { return t == DType::s8 || t == DType::u8; }
constexpr bool is_integer(DType t) { return (t >= DType::s8 && t <= DType::u64) || is_narrow_integer(t); }

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
NARROW_DTYPE_OF(fp8_e4m3fn, f8e4m3fn)
NARROW_DTYPE_OF(fp8_e4m3fnuz, f8e4m3fnuz)
NARROW_DTYPE_OF(fp8_e5m2, f8e5m2)
NARROW_DTYPE_OF(fp8_e5m2fnuz, f8e5m2fnuz)
NARROW_DTYPE_OF(e8m0, f8e8m0)
NARROW_DTYPE_OF(fp6_e2m3, f6e2m3)
NARROW_DTYPE_OF(fp6_e3m2, f6e3m2)
NARROW_DTYPE_OF(fp4_e2m1, f4e2m1)
NARROW_DTYPE_OF(int4, s4)
NARROW_DTYPE_OF(uint4, u4)
NARROW_DTYPE_OF(int2, s2)
NARROW_DTYPE_OF(uint2, u2)
#undef NARROW_DTYPE_OF

/// Calls f(T{}) with the C++ type of `type` and returns true; false for undefined and the narrow types.
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
    default:
      return false;
  }
}

/// The same for the narrow types only.
template <class F>
bool dispatch_narrow(DType type, F&& f) {
  switch (type) {
    case DType::f8e4m3fn:
      f(fp8_e4m3fn{});
      return true;
    case DType::f8e4m3fnuz:
      f(fp8_e4m3fnuz{});
      return true;
    case DType::f8e5m2:
      f(fp8_e5m2{});
      return true;
    case DType::f8e5m2fnuz:
      f(fp8_e5m2fnuz{});
      return true;
    case DType::f8e8m0:
      f(e8m0{});
      return true;
    case DType::f6e2m3:
      f(fp6_e2m3{});
      return true;
    case DType::f6e3m2:
      f(fp6_e3m2{});
      return true;
    case DType::f4e2m1:
      f(fp4_e2m1{});
      return true;
    case DType::s4:
      f(int4{});
      return true;
    case DType::u4:
      f(uint4{});
      return true;
    case DType::s2:
      f(int2{});
      return true;
    case DType::u2:
      f(uint2{});
      return true;
    default:
      return false;
  }
}

}  // namespace narrow
