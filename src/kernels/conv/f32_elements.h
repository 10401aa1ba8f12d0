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

/// Sums with their bias on their way out, in memory: [rows][vectors][lanes], the first `first_run` rows go to
/// dst[0], the rest to dst[1].
struct F32Rows {
  float* sums;
  int rows, vectors, first_run;
  int64_t n;  // live columns
  char* dst[2];
  const char* residual[2];
  int64_t ld;
  const F32Epilogue* epilogue;
};

/// x = f(x) for `count` vectors in memory; independent chains, so the processor overlaps them.
template <class V, class Function>
inline void map_vectors(float* x, int count, Function function) {
  for (int i = 0; i < count; ++i) V::store(x + i * V::kLanes, function(V::load(x + i * V::kLanes)));
}

/// apply_v() with the choice made once.
template <class V>
[[gnu::noinline]] void activate_vectors(const Activation& a, float* x, int count) {
  using F = typename V::F;
  switch (a.kind) {
    case Act::sigmoid:
      return map_vectors<V>(x, count, [](F v) { return sigmoid_v<V>(v); });
    case Act::tanh:
      return map_vectors<V>(x, count, [](F v) { return tanh_v<V>(v); });
    case Act::silu:
      return map_vectors<V>(x, count, [](F v) { return V::mul(v, sigmoid_v<V>(v)); });
    case Act::gelu:
      return map_vectors<V>(x, count, [](F v) { return gelu_v<V>(v); });
    case Act::gelu_tanh:
      return map_vectors<V>(x, count, [](F v) { return gelu_tanh_v<V>(v); });
    case Act::hard_swish:
      return map_vectors<V>(x, count, [](F v) { return hard_swish_v<V>(v); });
    default:
      return map_vectors<V>(x, count, [&a](F v) { return apply_v<V>(a, v); });
  }
}

/// dst = act(sums + residual) for any types and activation.
template <class V>
[[gnu::noinline]] void finish_rows(const F32Rows& t) {
  constexpr int kLanes = V::kLanes;
  const F32Epilogue& e = *t.epilogue;
  const auto each = [&](auto&& visit) __attribute__((always_inline)) {
    for (int row = 0; row < t.rows; ++row) {
      const int run = row < t.first_run ? 0 : 1;
      for (int v = 0; v < t.vectors && t.n > v * kLanes; ++v) {
        const auto live = V::first(t.n - v * kLanes < kLanes ? t.n - v * kLanes : kLanes);
        visit(t.sums + (row * t.vectors + v) * kLanes, run, (row - run * t.first_run) * t.ld + v * kLanes,
              live);
      }
    }
  };
  if (e.residual != DType::undefined)
    each([&](float* sum, int run, int64_t at, typename V::Mask live) {
      V::store(sum, V::add(V::load(sum), load_as<V>(e.residual, t.residual[run], at, live)));
    });
  if (e.activation.kind != Act::none) activate_vectors<V>(e.activation, t.sums, t.rows * t.vectors);
  each([&](float* sum, int run, int64_t at, typename V::Mask live) {
    store_as<V>(e.dst, t.dst[run], at, live, V::load(sum));
  });
}

}  // namespace
}  // namespace narrow::kernels
