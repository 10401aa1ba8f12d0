#include "kernels/conv/s8_winograd_weights.h"

#include <algorithm>

#include "kernels/conv/s8_winograd.h"

namespace narrow::kernels {
namespace {

/// With any weights, 9 * 112 * 128 * 255 < 2^25.
constexpr int64_t kAlwaysKnown = 112, kKnownBelow = int64_t{1} << 25;

S8Places places_of(const ConvSpec& spec, int64_t columns) {
  return {1, spec.shape.oc, round_up(spec.shape.oc, columns)};
}

/// Calls f(at, index) for every weight: its place in the panels and in [oc][c][9].
template <class F>
void for_each_weight(const ConvShape& s, int64_t columns, F&& f) {
  for (int64_t o = 0; o < s.oc; ++o) {
    const int64_t column = o / columns * columns * s.c * 9 + o % columns * 2;
    for (int64_t c = 0; c < s.c; ++c)
      for (int64_t tap = 0; tap < 9; ++tap)
        f(column + (c / 2 * 9 + tap) * columns * 2 + c % 2, (o * s.c + c) * 9 + tap);
  }
}

AlignedBuffer packed(const ConvSpec& spec, const ConvWeights& source, int64_t columns) {
  if (!source.stored.empty()) return source.stored[0].share();
  AlignedBuffer all = AlignedBuffer::zeroed(s8_winograd_stored_sizes(spec, columns)[0]);
  const auto* from = static_cast<const int8_t*>(source.weights);
  for_each_weight(spec.shape, columns,
                  [&, to = all.as<int8_t>()](int64_t at, int64_t index) { to[at] = from[index]; });
  return all;
}

}  // namespace

S8WinogradWeights::S8WinogradWeights(const ConvSpec& spec, const ConvWeights& source, int64_t columns)
    : channels_(spec.shape.c),
      panel_columns_(columns),
      panels_(div_up(spec.shape.oc, columns)),
      g_(packed(spec, source, columns)),
      sums_(source.stored.empty()
                ? s8_column_sums(spec, static_cast<const int8_t*>(source.weights), places_of(spec, columns))
                : source.stored[1].share()),
      columns_(spec, spec.bias ? static_cast<const int32_t*>(source.bias) : nullptr, sums_.as<int32_t>(),
               places_of(spec, columns), false) {
  const int64_t count = places_of(spec, columns).columns();
  const int32_t* magnitudes = sums_.as<int32_t>() + count;
  const int64_t most = *std::max_element(magnitudes, magnitudes + count);
  pairs_at_once_ = (255 * most < kKnownBelow ? channels_ : kAlwaysKnown) / 2;
}

std::vector<std::span<const std::byte>> S8WinogradWeights::stored() const {
  return {{g_.data(), static_cast<size_t>(g_.bytes())}, {sums_.data(), static_cast<size_t>(sums_.bytes())}};
}

const int8_t* S8WinogradWeights::filters(int64_t panel, int64_t channel) const {
  return g_.as<int8_t>() + (panel * channels_ + channel) * 9 * panel_columns_;
}

std::vector<int64_t> s8_winograd_stored_sizes(const ConvSpec& spec, int64_t columns) {
  const int64_t count = places_of(spec, columns).columns();
  return {count * spec.shape.c * 9, count * 8};
}

void s8_winograd_unpack(const ConvSpec& spec, int64_t columns, std::span<const AlignedBuffer> parts,
                        std::byte* weights) {
  const auto* from = parts[0].as<int8_t>();
  for_each_weight(
      spec.shape, columns,
      [&, to = reinterpret_cast<int8_t*>(weights)](int64_t at, int64_t index) { to[index] = from[at]; });
}

}  // namespace narrow::kernels
