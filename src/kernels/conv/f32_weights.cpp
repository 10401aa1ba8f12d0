#include "kernels/conv/f32_weights.h"

#include <algorithm>

#include "numerics/float_formats.h"

namespace narrow::kernels {

float load_float(DType type, const void* data, int64_t i) {
  if (type == DType::f32) return static_cast<const float*>(data)[i];
  if (type == DType::bf16) return static_cast<float>(static_cast<const bf16*>(data)[i]);
  return static_cast<float>(static_cast<const f16*>(data)[i]);
}

namespace {

F32Weights layout_of(const ConvShape& s, int64_t lanes) {
  const int64_t group_oc = s.oc / s.groups, columns = 2 * lanes;
  F32Weights l;
  l.lanes = lanes, l.k = s.c / s.groups * s.kh * s.kw;
  l.panels_per_group = div_up(group_oc, columns);
  const int64_t tail = group_oc % columns, missing = tail > 0 && tail <= lanes ? lanes : 0;
  l.group_floats = l.k * (l.panels_per_group * columns - missing);
  return l;
}

/// Calls f(at, index) for every weight: its place in the panels and in [oc][c / groups][kh][kw].
template <class F>
void for_each_weight(const ConvShape& s, const F32Weights& l, F&& f) {
  const int64_t group_oc = s.oc / s.groups, group_c = s.c / s.groups, taps = s.kh * s.kw,
                columns = 2 * l.lanes;
  for (int64_t o = 0; o < s.oc; ++o) {
    const int64_t group = o / group_oc, own = o % group_oc, panel = own / columns;
    const int64_t width = group_oc - panel * columns <= l.lanes ? l.lanes : columns;
    const int64_t column = group * l.group_floats + panel * l.k * columns + own % columns;
    for (int64_t c = 0; c < group_c; ++c)
      for (int64_t t = 0; t < taps; ++t) f(column + (t * group_c + c) * width, o * l.k + c * taps + t);
  }
}

}  // namespace

std::string f32_not_stored(const ConvSpec& spec) {
  return spec.weights == DType::f32 ? ""
                                    : std::string(to_string(spec.weights)) + " weights are widened on load";
}

int64_t f32_stored_size(const ConvSpec& spec, int64_t lanes) {
  return spec.shape.groups * layout_of(spec.shape, lanes).group_floats * 4;
}

void f32_unpack(const ConvSpec& spec, int64_t lanes, const AlignedBuffer& panels, float* weights) {
  const auto* from = panels.as<float>();
  for_each_weight(spec.shape, layout_of(spec.shape, lanes),
                  [&](int64_t at, int64_t index) { weights[index] = from[at]; });
}

std::shared_ptr<const F32Weights> pack_f32_weights(const ConvSpec& spec, const ConvWeights& weights,
                                                   int64_t lanes) {
  const ConvShape& s = spec.shape;
  auto packed = std::make_shared<F32Weights>(layout_of(s, lanes));
  if (weights.stored.empty()) {
    packed->panels = AlignedBuffer::zeroed(f32_stored_size(spec, lanes));
    auto* panels = packed->panels.as<float>();
    for_each_weight(s, *packed, [&](int64_t at, int64_t index) {
      panels[at] = load_float(spec.weights, weights.weights, index);
    });
  } else {
    packed->panels = weights.stored[0].share();
  }
  const int64_t group_oc = s.oc / s.groups, padded = packed->panels_per_group * 2 * lanes;
  packed->bias = AlignedBuffer::zeroed(s.groups * padded * 4);
  for (int64_t o = 0; spec.bias && o < s.oc; ++o)
    packed->bias.as<float>()[o / group_oc * padded + o % group_oc] =
        static_cast<const float*>(weights.bias)[o];
  return packed;
}

}  // namespace narrow::kernels
