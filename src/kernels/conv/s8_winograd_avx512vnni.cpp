// F(4x4, 3x3) in whole numbers, pairs of words multiplied by vpdpwssd: up to 10 patches x 32 columns of sums
// in registers.
#include "kernels/conv/load_four.h"
#include "kernels/conv/s8_finish_avx512.h"
#include "kernels/conv/s8_winograd_kernel.h"

namespace narrow::kernels {
namespace {

constexpr int64_t kColumns = 32;

struct Lanes512 {
  using V = __m512i;
  static constexpr int kWords = 32, kSums = 16;

  template <bool kSigned>
  NARROW_INLINE V widen(const uint8_t* p) {
    const __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
    return kSigned ? _mm512_cvtepi8_epi16(bytes) : _mm512_cvtepu8_epi16(bytes);
  }
  NARROW_INLINE V load(const void* p) { return _mm512_loadu_si512(p); }
  NARROW_INLINE void store(void* p, V x) { _mm512_storeu_si512(p, x); }
  NARROW_INLINE V add_words(V a, V b) { return _mm512_add_epi16(a, b); }
  NARROW_INLINE V sub_words(V a, V b) { return _mm512_sub_epi16(a, b); }
  template <int kBits>
  NARROW_INLINE V shift_words(V a) {
    return _mm512_slli_epi16(a, kBits);
  }
  NARROW_INLINE V add(V a, V b) { return _mm512_add_epi32(a, b); }
  NARROW_INLINE V sub(V a, V b) { return _mm512_sub_epi32(a, b); }
  template <int kBits>
  NARROW_INLINE V shift(V a) {
    return _mm512_slli_epi32(a, kBits);
  }
  template <int kBits>
  NARROW_INLINE V scale(V a, int32_t factor) {
    return _mm512_srai_epi32(_mm512_mullo_epi32(a, _mm512_set1_epi32(factor)), kBits);
  }
};

void filters(const S8Filters& filters) { transform_filters<Lanes512, kColumns>(filters); }

template <bool kSigned>
void transform_patch(const S8PatchIn& patch) {
  int64_t c = 0;
  for (; c + Lanes512::kWords <= patch.channels; c += Lanes512::kWords)
    transform_in<Lanes512, kSigned>(patch, c);
  if (c < patch.channels) transform_in<Lanes256, kSigned>(patch, c);
}

void in(const S8PatchIn& patch, bool is_signed) {
  is_signed ? transform_patch<true>(patch) : transform_patch<false>(patch);
}

void out(const S8PatchOut& patch) {
  for (int64_t c = 0; c < patch.columns; c += Lanes512::kSums) transform_out<Lanes512>(patch, kColumns, c);
}

/// kV registers of columns: one where the other half of a panel is padding.
template <int kM, int kV>
void products_of(const S8PatchProducts& p) {
  for (int64_t point = 0; point < p.points; ++point) {
    const int16_t *v = p.v + point * p.v_point, *u = p.u + point * p.u_point;
    __m512i sum[kM][kV];
    int32_t* to = p.m + point * kM * kColumns;
    NARROW_UNROLL(28)
    for (int i = 0; i < kM * kV; ++i)
      sum[i / kV][i % kV] =
          p.adds ? _mm512_loadu_si512(to + i / kV * kColumns + i % kV * 16) : _mm512_setzero_si512();
    const int8_t* ahead = p.ahead != nullptr ? p.ahead + point * p.pairs * 64 : p.ahead;
    for (int64_t pair = 0; pair < p.pairs; ++pair, v += 2, u += 2 * kColumns) {
      if (ahead != nullptr) _mm_prefetch(reinterpret_cast<const char*>(ahead + pair * 64), _MM_HINT_T1);
      const __m512i b0 = _mm512_loadu_si512(u), b1 = kV > 1 ? _mm512_loadu_si512(u + kColumns) : b0;
      NARROW_UNROLL(14) for (int m = 0; m < kM; ++m) {
        const __m512i x = _mm512_set1_epi32(load_four(reinterpret_cast<const uint8_t*>(v + m * p.v_row)));
        sum[m][0] = _mm512_dpwssd_epi32(sum[m][0], x, b0);
        if constexpr (kV > 1) sum[m][1] = _mm512_dpwssd_epi32(sum[m][1], x, b1);
      }
    }
    NARROW_UNROLL(28)
    for (int i = 0; i < kM * kV; ++i)
      _mm512_storeu_si512(to + i / kV * kColumns + i % kV * 16, sum[i / kV][i % kV]);
  }
}

template <int kM>
void products_of(const S8PatchProducts& p) {
  p.columns > 16 ? products_of<kM, 2>(p) : products_of<kM, 1>(p);
}

void products(const S8PatchProducts& p) {
  switch (p.rows) {
    case 1:
      return products_of<1>(p);
    case 2:
      return products_of<2>(p);
    case 3:
      return products_of<3>(p);
    case 4:
      return products_of<4>(p);
    case 5:
      return products_of<5>(p);
    case 6:
      return products_of<6>(p);
    case 7:
      return products_of<7>(p);
    case 8:
      return products_of<8>(p);
    case 9:
      return products_of<9>(p);
    case 10:
      return products_of<10>(p);
    case 11:
      return products_of<11>(p);
    case 12:
      return products_of<12>(p);
    case 13:
      return products_of<13>(p);
    default:
      return products_of<14>(p);
  }
}

void finish(const S8Finish& f, const ConvRows& rows, const S8Sums& sums) {
  const auto all = [&]<class Pairs>() { Pairs(f, MappedRows(rows), sums).rest(); };
  if (f.on_float)
    with_s8_pairs<S8Sum::on_float, MappedRows>(f, sums.columns, all);
  else if (f.stays_in_bytes)
    with_s8_pairs<S8Sum::whole, MappedRows>(f, sums.columns, all);
  else
    s8_finish_any<false>(f, rows, sums);
}

}  // namespace

const S8WinogradKernels& s8_winograd_avx512vnni() {
  static constexpr S8WinogradKernels kAll{filters, in, products, out, finish};
  return kAll;
}

}  // namespace narrow::kernels
