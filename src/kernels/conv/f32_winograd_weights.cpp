#include "kernels/conv/f32_winograd_weights.h"

#include <algorithm>

namespace narrow::kernels {
namespace {

int64_t width_of(int64_t outputs, int64_t columns, int64_t panel) {
  return outputs - panel * columns <= columns / 2 ? columns / 2 : columns;
}

/// Calls f(at, index) for every weight: its place in the panels and in [oc][c][9].
template <class F>
void for_each_weight(const ConvShape& s, int64_t columns, F&& f) {
  for (int64_t o = 0; o < s.oc; ++o) {
    const int64_t panel = o / columns, width = width_of(s.oc, columns, panel);
    const int64_t column = panel * columns * s.c * 9 + o % columns;
    for (int64_t i = 0; i < s.c * 9; ++i) f(column + i * width, o * s.c * 9 + i);
  }
}

template <class T>
AlignedBuffer packed(const ConvSpec& spec, const ConvWeights& source, int64_t columns) {
  AlignedBuffer all = AlignedBuffer::zeroed(f32_winograd_stored_size(spec, columns));
  const auto* from = static_cast<const T*>(source.weights);
  for_each_weight(spec.shape, columns,
                  [&, to = all.as<T>()](int64_t at, int64_t index) { to[at] = from[index]; });
  return all;
}

template <class T>
void unpack(const ConvSpec& spec, int64_t columns, const AlignedBuffer& filters, std::byte* weights) {
  const auto* from = filters.as<T>();
  for_each_weight(spec.shape, columns, [&, to = reinterpret_cast<T*>(weights)](int64_t at, int64_t index) {
    to[index] = from[at];
  });
}

}  // namespace

F32WinogradWeights::F32WinogradWeights(const ConvSpec& spec, const ConvWeights& source, int64_t columns)
    : type_(spec.weights), channels_(spec.shape.c), outputs_(spec.shape.oc), columns_(columns) {
  if (!source.stored.empty())
    g_ = source.stored[0].share();
  else
    g_ =
        bytes_of(type_) == 4 ? packed<float>(spec, source, columns) : packed<uint16_t>(spec, source, columns);
  bias_ = AlignedBuffer::zeroed(panels() * columns * 4);
  if (spec.bias) std::copy_n(static_cast<const float*>(source.bias), outputs_, bias_.as<float>());
}

int64_t F32WinogradWeights::panels() const { return div_up(outputs_, columns_); }

int64_t F32WinogradWeights::width(int64_t panel) const { return width_of(outputs_, columns_, panel); }

const char* F32WinogradWeights::filters(int64_t panel, int64_t channel) const {
  return reinterpret_cast<const char*>(g_.data()) +
         (panel * columns_ * channels_ + channel * width(panel)) * 9 * bytes_of(type_);
}

int64_t f32_winograd_stored_size(const ConvSpec& spec, int64_t columns) {
  const int64_t whole = div_up(spec.shape.oc, columns) - 1;
  return (whole * columns + width_of(spec.shape.oc, columns, whole)) * spec.shape.c * 9 *
         bytes_of(spec.weights);
}

void f32_winograd_unpack(const ConvSpec& spec, int64_t columns, const AlignedBuffer& filters,
                         std::byte* weights) {
  bytes_of(spec.weights) == 4 ? unpack<float>(spec, columns, filters, weights)
                              : unpack<uint16_t>(spec, columns, filters, weights);
}

}  // namespace narrow::kernels
