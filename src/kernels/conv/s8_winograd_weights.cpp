#include "kernels/conv/s8_winograd_weights.h"

#include <algorithm>

#include "kernels/conv/s8_winograd.h"

namespace narrow::kernels {
namespace {

/// With any weights, 9 * 112 * 128 * 255 < 2^25.
constexpr int64_t kAlwaysKnown = 112, kKnownBelow = int64_t{1} << 25;

/// Numbers of some filters side by side: two channels of each column.
template <int kLanes>
using Words = int16_t[kLanes];

/// Three numbers by the rows of G.
template <int kLanes>
void by_rows(const Words<kLanes>& a, const Words<kLanes>& b, const Words<kLanes>& c,
             Words<kLanes> (&out)[6]) {
  for (int i = 0; i < kLanes; ++i) {
    const int ends = a[i] + c[i], wide = a[i] + 4 * c[i];
    out[0][i] = static_cast<int16_t>(6 * a[i]);
    out[1][i] = static_cast<int16_t>(ends + b[i]);
    out[2][i] = static_cast<int16_t>(ends - b[i]);
    out[3][i] = static_cast<int16_t>(wide + 2 * b[i]);
    out[4][i] = static_cast<int16_t>(wide - 2 * b[i]);
    out[5][i] = static_cast<int16_t>(6 * c[i]);
  }
}

/// G g G' of the filters of one panel and pair of channels: 36 rows of kLanes, `apart` elements apart.
template <int kLanes>
void transform(const Words<kLanes> (&g)[9], int16_t* u, int64_t apart) {
  Words<kLanes> down[3][6], across[6];
  for (int j = 0; j < 3; ++j) by_rows<kLanes>(g[j], g[3 + j], g[6 + j], down[j]);
  for (int i = 0; i < 6; ++i) {
    by_rows<kLanes>(down[0][i], down[1][i], down[2][i], across);
    for (const auto& row : across) u = std::copy_n(row, kLanes, u) - kLanes + apart;
  }
}

template <int kColumns>
AlignedBuffer transformed(const ConvShape& s, const int8_t* weights) {
  constexpr int kLanes = 2 * kColumns;
  const int64_t panels = div_up(s.oc, kColumns), point = s.c * kColumns;
  AlignedBuffer all(panels * kS8WinogradPoints * point * 2);
  for (int64_t panel = 0; panel < panels; ++panel)
    for (int64_t pair = 0; pair < s.c / 2; ++pair) {
      Words<kLanes> g[9] = {};
      for (int64_t column = 0; column < std::min<int64_t>(kColumns, s.oc - panel * kColumns); ++column) {
        const int8_t* from = weights + ((panel * kColumns + column) * s.c + 2 * pair) * 9;
        for (int64_t tap = 0; tap < 9; ++tap)
          g[tap][2 * column] = from[tap], g[tap][2 * column + 1] = from[9 + tap];
      }
      transform<kLanes>(g, all.as<int16_t>() + panel * kS8WinogradPoints * point + pair * kLanes, point);
    }
  return all;
}

AlignedBuffer transformed(const ConvSpec& spec, const ConvWeights& source, int64_t columns) {
  const auto* weights = static_cast<const int8_t*>(source.weights);
  return columns == 32 ? transformed<32>(spec.shape, weights) : transformed<16>(spec.shape, weights);
}

S8Places places_of(const ConvSpec& spec, int64_t columns) {
  return {1, spec.shape.oc, round_up(spec.shape.oc, columns)};
}

}  // namespace

S8WinogradWeights::S8WinogradWeights(const ConvSpec& spec, const ConvWeights& source, int64_t columns)
    : S8WinogradWeights(
          spec, source, places_of(spec, columns),
          s8_column_sums(spec, static_cast<const int8_t*>(source.weights), places_of(spec, columns))) {
  panels_ = div_up(spec.shape.oc, columns);
  point_ = spec.shape.c * columns;
  u_ = transformed(spec, source, columns);
}

S8WinogradWeights::S8WinogradWeights(const ConvSpec& spec, const ConvWeights& source, const S8Places& places,
                                     const AlignedBuffer& sums)
    : columns_(spec, spec.bias ? static_cast<const int32_t*>(source.bias) : nullptr, sums.as<int32_t>(),
               places, false) {
  const int32_t* magnitudes = sums.as<int32_t>() + places.columns();
  const int64_t most = *std::max_element(magnitudes, magnitudes + places.columns());
  pairs_at_once_ = (255 * most < kKnownBelow ? spec.shape.c : kAlwaysKnown) / 2;
}

const int16_t* S8WinogradWeights::panel(int64_t index) const {
  return u_.as<int16_t>() + index * kS8WinogradPoints * point_;
}

}  // namespace narrow::kernels
