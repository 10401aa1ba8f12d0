// The loops of runs.h over vectors. S is a Simd of kernels/math with D, as many doubles in half as many
// bytes' worth of lanes: low, high (of an F), zero_d, add_d, fma_d, store_d.
//
// Four vectors at a time, so that additions do not wait for one another. Everything is local to the including
// file.
#pragma once

#include "kernels/reduce/runs.h"

namespace narrow::kernels {
namespace {

/// Sums of one vector's lanes, in double.
template <class S, Gather kKind>
struct Sums {
  typename S::D low = S::zero_d(), high = S::zero_d();

  void add(typename S::F x) {
    if constexpr (kKind == Gather::magnitudes) x = S::max(S::sub(S::zero(), x), x);
    const auto l = S::low(x), h = S::high(x);
    if constexpr (kKind == Gather::squares) {
      low = S::fma_d(l, l, low);
      high = S::fma_d(h, h, high);
    } else {
      low = S::add_d(low, l);
      high = S::add_d(high, h);
    }
  }
  void merge(const Sums& other) {
    low = S::add_d(low, other.low);
    high = S::add_d(high, other.high);
  }
  void store(double* lanes) const {
    S::store_d(lanes, low);
    S::store_d(lanes + S::kLanes / 2, high);
  }
};

/// The largest or smallest of each lane. Once a lane is NaN it stays so.
template <class S, Gather kKind>
struct Extremes {
  typename S::F best = S::set1(static_cast<float>(gather_start(kKind)));

  void add(typename S::F x) {
    const auto next = kKind == Gather::max ? S::max(best, x) : S::min(best, x);
    best = S::where_not_less(best, best, next, best);
  }
  void merge(const Extremes& other) { add(other.best); }
  void store(double* lanes) const {
    S::store_d(lanes, S::low(best));
    S::store_d(lanes + S::kLanes / 2, S::high(best));
  }
};

template <class S, Gather kKind>
struct LanesOf {
  using Type = Sums<S, kKind>;
};
template <class S>
struct LanesOf<S, Gather::max> {
  using Type = Extremes<S, Gather::max>;
};
template <class S>
struct LanesOf<S, Gather::min> {
  using Type = Extremes<S, Gather::min>;
};

template <class S, Gather kKind>
double gather_row(const float* x, int64_t n) {
  constexpr int kVectors = 4;
  constexpr int64_t kStep = int64_t{kVectors} * S::kLanes;
  double acc = gather_start(kKind);
  int64_t i = 0;
  if (n >= S::kLanes) {
    typename LanesOf<S, kKind>::Type lanes[kVectors];
    for (; i + kStep <= n; i += kStep)
      for (int v = 0; v < kVectors; ++v) lanes[v].add(S::load(x + i + v * S::kLanes));
    for (; i + S::kLanes <= n; i += S::kLanes) lanes[0].add(S::load(x + i));
    lanes[0].merge(lanes[1]);
    lanes[2].merge(lanes[3]);
    lanes[0].merge(lanes[2]);
    alignas(64) double stored[S::kLanes];
    lanes[0].store(stored);
    for (int half = S::kLanes / 2; half > 0; half /= 2)
      for (int l = 0; l < half; ++l) stored[l] = gather_two(kKind, stored[l], stored[l + half]);
    acc = stored[0];
  }
  for (; i < n; ++i) acc = gather_one(kKind, acc, x[i]);
  return acc;
}

/// kVectors vectors of columns; of the last one the lanes of `mask`.
template <class S, Gather kKind, int kVectors>
void gather_strip(const Columns& c, int64_t first, typename S::Mask mask, int64_t live) {
  typename LanesOf<S, kKind>::Type lanes[kVectors];
  for (int64_t r = 0; r < c.rows; ++r) {
    const float* x = c.x + r * c.stride + first;
    for (int v = 0; v + 1 < kVectors; ++v) lanes[v].add(S::load(x + v * S::kLanes));
    lanes[kVectors - 1].add(S::load(x + (kVectors - 1) * S::kLanes, mask));
  }
  alignas(64) double stored[kVectors * S::kLanes];
  for (int v = 0; v < kVectors; ++v) lanes[v].store(stored + v * S::kLanes);
  for (int64_t i = 0; i < live; ++i) c.result[first + i] = stored[i];
}

template <class S, Gather kKind>
void gather_columns(const Columns& c) {
  constexpr int64_t kStrip = 4 * S::kLanes;
  for (int64_t first = 0; first < c.columns; first += kStrip) {
    const int64_t left = c.columns - first < kStrip ? c.columns - first : kStrip,
                  vectors = (left + S::kLanes - 1) / S::kLanes;
    const auto mask = S::first(left - (vectors - 1) * S::kLanes);
    switch (vectors) {
      case 1:
        gather_strip<S, kKind, 1>(c, first, mask, left);
        break;
      case 2:
        gather_strip<S, kKind, 2>(c, first, mask, left);
        break;
      case 3:
        gather_strip<S, kKind, 3>(c, first, mask, left);
        break;
      default:
        gather_strip<S, kKind, 4>(c, first, mask, left);
    }
  }
}

template <class S>
double gather_row_of(Gather kind, const float* x, int64_t n) {
  switch (kind) {
    case Gather::sum:
      return gather_row<S, Gather::sum>(x, n);
    case Gather::magnitudes:
      return gather_row<S, Gather::magnitudes>(x, n);
    case Gather::squares:
      return gather_row<S, Gather::squares>(x, n);
    case Gather::max:
      return gather_row<S, Gather::max>(x, n);
    default:
      return gather_row<S, Gather::min>(x, n);
  }
}

template <class S>
void gather_columns_of(Gather kind, const Columns& c) {
  switch (kind) {
    case Gather::sum:
      return gather_columns<S, Gather::sum>(c);
    case Gather::magnitudes:
      return gather_columns<S, Gather::magnitudes>(c);
    case Gather::squares:
      return gather_columns<S, Gather::squares>(c);
    case Gather::max:
      return gather_columns<S, Gather::max>(c);
    default:
      return gather_columns<S, Gather::min>(c);
  }
}

}  // namespace
}  // namespace narrow::kernels
