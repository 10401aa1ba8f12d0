// The transforms of f32_winograd.h. V is Simd512 or Simd256; included by kernel files with ISA flags only,
// after the vector type's header.
#pragma once

#include "kernels/conv/f32_elements.h"
#include "kernels/conv/f32_winograd.h"

namespace narrow::kernels {
namespace {

#define NARROW_LANES inline __attribute__((always_inline))

/// Of F(kOutputs x kOutputs, 3x3), along one axis.
template <class V, int kOutputs>
struct F32Winograd;

template <class V>
struct F32Winograd<V, 2> {
  using F = typename V::F;

  /// G on three values.
  static NARROW_LANES void filter(F a, F b, F c, F (&u)[4]) {
    const F half = V::set1(0.5F), ends = V::mul(half, V::add(a, c));
    u[0] = a, u[1] = V::fma(half, b, ends), u[2] = V::fma(V::set1(-0.5F), b, ends), u[3] = c;
  }
  /// B' on four values.
  static NARROW_LANES void in(F (&x)[4]) {
    const F first = V::sub(x[0], x[2]), second = V::add(x[1], x[2]), third = V::sub(x[2], x[1]),
            fourth = V::sub(x[1], x[3]);
    x[0] = first, x[1] = second, x[2] = third, x[3] = fourth;
  }
  /// A' on four sums.
  static NARROW_LANES void out(const F (&m)[4], F (&y)[2]) {
    y[0] = V::add(V::add(m[0], m[1]), m[2]);
    y[1] = V::sub(V::sub(m[1], m[2]), m[3]);
  }
};

template <class V>
struct F32Winograd<V, 4> {
  using F = typename V::F;

  /// G on three values.
  static NARROW_LANES void filter(F a, F b, F c, F (&u)[6]) {
    const F sixth = V::set1(1.0F / 6), twelfth = V::set1(1.0F / 12),
            ends = V::mul(V::set1(-1.0F / 6), V::add(a, c)),
            wide = V::fma(sixth, c, V::mul(V::set1(1.0F / 24), a));
    u[0] = V::mul(V::set1(0.25F), a);
    u[1] = V::fma(V::set1(-1.0F / 6), b, ends);
    u[2] = V::fma(sixth, b, ends);
    u[3] = V::fma(twelfth, b, wide);
    u[4] = V::fma(V::set1(-1.0F / 12), b, wide);
    u[5] = c;
  }
  /// B' on six values.
  static NARROW_LANES void in(F (&x)[6]) {
    const F two = V::set1(2), four = V::set1(4), minus_two = V::set1(-2), minus_four = V::set1(-4);
    const F a = V::fma(minus_four, x[2], x[4]), b = V::fma(minus_four, x[1], x[3]), c = V::sub(x[4], x[2]),
            d = V::sub(x[3], x[1]);
    const F first = V::fma(four, x[0], V::sub(a, x[2])), last = V::fma(minus_four, d, V::sub(x[5], x[3]));
    x[0] = first;
    x[1] = V::add(a, b);
    x[2] = V::sub(a, b);
    x[3] = V::fma(two, d, c);
    x[4] = V::fma(minus_two, d, c);
    x[5] = last;
  }
  /// A' on six sums.
  static NARROW_LANES void out(const F (&m)[6], F (&y)[4]) {
    const F s = V::add(m[1], m[2]), d = V::sub(m[1], m[2]), S = V::add(m[3], m[4]), D = V::sub(m[3], m[4]);
    y[0] = V::add(V::add(m[0], s), S);
    y[1] = V::fma(V::set1(2), D, d);
    y[2] = V::fma(V::set1(4), S, s);
    y[3] = V::add(V::fma(V::set1(8), D, d), m[5]);
  }
};

template <class V, int kOutputs, DType kType>
void filters_of(const F32Filters& t) {
  constexpr int kPatch = kOutputs + 2;
  using F = typename V::F;
  const auto all = V::first(V::kLanes);
  for (int64_t c = 0; c < t.channels; ++c)
    for (int64_t column = 0; column < t.columns; column += V::kLanes) {
      const int64_t at = c * 9 * t.columns + column;
      float* u = t.u + c * t.columns + column;
      F down[3][kPatch];
      NARROW_UNROLL for (int j = 0; j < 3; ++j)
          F32Winograd<V, kOutputs>::filter(load_as<V>(kType, t.g, at + j * t.columns, all),
                                           load_as<V>(kType, t.g, at + (3 + j) * t.columns, all),
                                           load_as<V>(kType, t.g, at + (6 + j) * t.columns, all), down[j]);
      NARROW_UNROLL for (int i = 0; i < kPatch; ++i) {
        F row[kPatch];
        F32Winograd<V, kOutputs>::filter(down[0][i], down[1][i], down[2][i], row);
        NARROW_UNROLL for (int j = 0; j < kPatch; ++j) V::store(u + (i * kPatch + j) * t.u_place, row[j]);
      }
    }
}

/// f<DType>(...) for one of the three.
template <class F>
NARROW_LANES void with_type(DType type, F&& f) {
  if (type == DType::f32)
    f.template operator()<DType::f32>();
  else if (type == DType::bf16)
    f.template operator()<DType::bf16>();
  else
    f.template operator()<DType::f16>();
}

template <class V, int kOutputs>
void transform_filters(const F32Filters& filters) {
  with_type(filters.type, [&]<DType kType>() { filters_of<V, kOutputs, kType>(filters); });
}

template <class V, int kOutputs, DType kType>
NARROW_LANES void transform_in(const F32PatchIn& t, int64_t c, typename V::Mask live) {
  constexpr int kPatch = kOutputs + 2;
  using F = typename V::F;
  F x[kPatch][kPatch];
  NARROW_UNROLL for (int j = 0; j < kPatch; ++j) {
    F column[kPatch];
    NARROW_UNROLL for (int i = 0; i < kPatch; ++i) column[i] =
        load_as<V>(kType, t.src + i * t.row + j * t.pixel, c, live);
    F32Winograd<V, kOutputs>::in(column);
    NARROW_UNROLL for (int i = 0; i < kPatch; ++i) x[i][j] = column[i];
  }
  NARROW_UNROLL for (int i = 0; i < kPatch; ++i) {
    F32Winograd<V, kOutputs>::in(x[i]);
    NARROW_UNROLL for (int j = 0; j < kPatch; ++j)
        V::store(t.v + (i * kPatch + j) * t.v_place + c, live, x[i][j]);
  }
}

template <class V, int kOutputs, DType kType>
void patch_in_of(const F32PatchIn& patch) {
  int64_t c = 0;
  for (; c + V::kLanes <= patch.channels; c += V::kLanes)
    transform_in<V, kOutputs, kType>(patch, c, V::first(V::kLanes));
  if (c < patch.channels) transform_in<V, kOutputs, kType>(patch, c, V::first(patch.channels - c));
}

template <class V, int kOutputs>
void patch_in(const F32PatchIn& patch) {
  with_type(patch.type, [&]<DType kType>() { patch_in_of<V, kOutputs, kType>(patch); });
}

/// kClamps: as F32PatchOut::clamps says, dst being kType; else anything.
template <class V, int kOutputs, bool kClamps, DType kType>
void patch_out_of(const F32PatchOut& t) {
  constexpr int kPatch = kOutputs + 2;
  using F = typename V::F;
  const F32Epilogue& e = *t.epilogue;
  const DType type = kClamps ? kType : e.dst;
  const bool residual = e.residual != DType::undefined;
  const F low = V::set1(e.low), high = V::set1(e.high);
  for (int64_t c = 0; c < t.columns; c += V::kLanes) {
    const typename V::Mask live = V::first(t.columns - c < V::kLanes ? t.columns - c : V::kLanes);
    F rows[kOutputs][kPatch];
    NARROW_UNROLL for (int j = 0; j < kPatch; ++j) {
      const float* at = t.m + j * t.m_place + c;
      F m[kPatch], y[kOutputs];
      NARROW_UNROLL for (int i = 0; i < kPatch; ++i) m[i] = V::load(at + i * kPatch * t.m_place);
      F32Winograd<V, kOutputs>::out(m, y);
      NARROW_UNROLL for (int i = 0; i < kOutputs; ++i) rows[i][j] = y[i];
    }
    const F bias = V::load(t.bias + c);
    NARROW_UNROLL for (int i = 0; i < kOutputs; ++i) {
      if (i >= t.down) break;
      F y[kOutputs];
      F32Winograd<V, kOutputs>::out(rows[i], y);
      NARROW_UNROLL for (int j = 0; j < kOutputs; ++j) {
        if (j >= t.across) break;
        const int64_t at = t.at + i * t.row + j * t.pixel + c;
        F x = V::add(y[j], bias);
        if (residual) x = V::add(x, load_as<V>(kClamps ? type : e.residual, t.residual, at, live));
        x = kClamps ? V::min(high, V::max(low, x)) : apply_v<V>(e.activation, x);
        store_as<V>(type, t.dst, at, live, x);
      }
    }
  }
}

template <class V, int kOutputs>
void patch_out(const F32PatchOut& patch) {
  if (!patch.clamps) return patch_out_of<V, kOutputs, false, DType::f32>(patch);
  with_type(patch.epilogue->dst, [&]<DType kType>() { patch_out_of<V, kOutputs, true, kType>(patch); });
}

template <class V, int kOutputs>
const F32WinogradKernels& f32_winograd_kernels() {
  static constexpr F32WinogradKernels kAll{transform_filters<V, kOutputs>, patch_in<V, kOutputs>,
                                           patch_out<V, kOutputs>};
  return kAll;
}

#undef NARROW_LANES

}  // namespace
}  // namespace narrow::kernels
