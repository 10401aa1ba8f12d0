// What the kernels of s8_winograd.h on 256 bits share: 6 patches x 16 columns of sums in registers.
// Dots::add(sum, x, b): sum + the products of pairs of words.
#pragma once

#include "kernels/conv/load_four.h"
#include "kernels/conv/s8_lanes_avx2.h"
#include "kernels/conv/s8_winograd_kernel.h"

namespace narrow::kernels {
namespace {

template <class Dots>
struct S8Winograd256 {
  static constexpr int64_t kColumns = 16;

  static void filters(const S8Filters& filters) { transform_filters<Lanes256, kColumns>(filters); }

  static void in(const S8PatchIn& patch, bool is_signed) {
    for (int64_t c = 0; c < patch.channels; c += Lanes256::kWords)
      is_signed ? transform_in<Lanes256, true>(patch, c) : transform_in<Lanes256, false>(patch, c);
  }

  static void out(const S8PatchOut& patch) {
    for (int64_t c = 0; c < patch.columns; c += Lanes256::kSums) transform_out<Lanes256>(patch, kColumns, c);
  }

  static void products(const S8PatchProducts& p) {
    switch (p.rows) {
      case 1:
        return of_rows<1>(p);
      case 2:
        return of_rows<2>(p);
      case 3:
        return of_rows<3>(p);
      case 4:
        return of_rows<4>(p);
      case 5:
        return of_rows<5>(p);
      default:
        return of_rows<6>(p);
    }
  }

  static void finish(const S8Finish& finish, const ConvRows& rows, const S8Sums& sums) {
    s8_finish_avx2(finish, rows, sums);
  }

  static const S8WinogradKernels& kernels() {
    static constexpr S8WinogradKernels kAll{filters, in, products, out, finish};
    return kAll;
  }

 private:
  template <int kM>
  static void of_rows(const S8PatchProducts& p) {
    for (int64_t point = 0; point < p.points; ++point) {
      const int16_t *v = p.v + point * p.v_point, *u = p.u + point * p.u_point;
      __m256i sum0[kM], sum1[kM];
      int32_t* to = p.m + point * kM * kColumns;
      NARROW_UNROLL(6) for (int m = 0; m < kM; ++m) {
        sum0[m] = p.adds ? Lanes256::load(to + m * kColumns) : _mm256_setzero_si256();
        sum1[m] = p.adds ? Lanes256::load(to + m * kColumns + 8) : _mm256_setzero_si256();
      }
      const int8_t* ahead = p.ahead != nullptr ? p.ahead + point * p.pairs * 64 : p.ahead;
      for (int64_t pair = 0; pair < p.pairs; ++pair, v += 2, u += 2 * kColumns) {
        if (ahead != nullptr) _mm_prefetch(reinterpret_cast<const char*>(ahead + pair * 64), _MM_HINT_T1);
        const __m256i b0 = Lanes256::load(u), b1 = Lanes256::load(u + kColumns);
        NARROW_UNROLL(6) for (int m = 0; m < kM; ++m) {
          const __m256i x = _mm256_set1_epi32(load_four(reinterpret_cast<const uint8_t*>(v + m * p.v_row)));
          sum0[m] = Dots::add(sum0[m], x, b0);
          sum1[m] = Dots::add(sum1[m], x, b1);
        }
      }
      NARROW_UNROLL(6) for (int m = 0; m < kM; ++m) {
        Lanes256::store(to + m * kColumns, sum0[m]);
        Lanes256::store(to + m * kColumns + 8, sum1[m]);
      }
    }
  }
};

}  // namespace
}  // namespace narrow::kernels
