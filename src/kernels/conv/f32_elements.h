// Loads, stores and the general epilogue that the f32 kernels of all ISAs share. V is Simd512 or Simd256;
// included by kernel files with ISA flags only, after the vector type's header.
#pragma once

#include "kernels/conv/f32_tile.h"
#include "kernels/math/vmath.h"

// Loops over registers must unroll whole: sums indexed by a variable would live in memory.
#define NARROW_UNROLL _Pragma("GCC unroll 16")

namespace narrow::kernels {
namespace {

template <class V>
inline typename V::F load_as(DType type, const char* base, int64_t i, typename V::Mask live) {
  if (type == DType::f32) return V::load(reinterpret_cast<const float*>(base) + i, live);
  const auto* halves = reinterpret_cast<const uint16_t*>(base) + i;
  return type == DType::f16 ? V::load_f16(halves, live) : V::load_bf16(halves, live);
}

template <class V>
inline void store_as(DType type, char* base, int64_t i, typename V::Mask live, typename V::F x) {
  if (type == DType::f32) return V::store(reinterpret_cast<float*>(base) + i, live, x);
  auto* halves = reinterpret_cast<uint16_t*>(base) + i;
  if (type == DType::f16)
    V::store_f16(halves, live, x);
  else
    V::store_bf16(halves, live, x);
}

/// dst[at] = act(x + residual[at]) for any types and activation; one copy per file, since the math is long.
template <class V>
[[gnu::noinline]] void finish_element(const F32Epilogue& e, const char* residual, char* dst, int64_t at,
                                      typename V::Mask live, typename V::F x) {
  if (e.residual != DType::undefined) x = V::add(x, load_as<V>(e.residual, residual, at, live));
  store_as<V>(e.dst, dst, at, live, apply_v<V>(e.activation, x));
}

}  // namespace
}  // namespace narrow::kernels
