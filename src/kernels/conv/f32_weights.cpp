#include "kernels/conv/f32_weights.h"

#include <algorithm>

#include "numerics/float_formats.h"

namespace narrow::kernels {

float load_float(DType type, const void* data, int64_t i) {
  if (type == DType::f32) return static_cast<const float*>(data)[i];
  if (type == DType::bf16) return static_cast<float>(static_cast<const bf16*>(data)[i]);
  return static_cast<float>(static_cast<const f16*>(data)[i]);
}

std::shared_ptr<const F32Weights> pack_f32_weights(const ConvSpec& spec, const ConvWeights& weights,
                                                   int64_t lanes) {
  const ConvShape& s = spec.shape;
  const int64_t group_oc = s.oc / s.groups, group_c = s.c / s.groups, taps = s.kh * s.kw, columns = 2 * lanes;
  auto packed = std::make_shared<F32Weights>();
  packed->lanes = lanes, packed->k = group_c * taps;
  packed->panels_per_group = div_up(group_oc, columns);
  const int64_t tail = group_oc % columns, missing = tail > 0 && tail <= lanes ? lanes : 0;
  packed->group_floats = packed->k * (packed->panels_per_group * columns - missing);
  packed->panels = AlignedBuffer::zeroed(s.groups * packed->group_floats * 4);
  packed->bias = AlignedBuffer::zeroed(s.groups * packed->panels_per_group * columns * 4);
  for (int64_t group = 0; group < s.groups; ++group)
    for (int64_t o = 0; o < group_oc; ++o) {
      const int64_t panel = o / columns, width = group_oc - panel * columns <= lanes ? lanes : columns;
      float* column = packed->panels.as<float>() + group * packed->group_floats +
                      panel * packed->k * columns + o % columns;
      const int64_t row = (group * group_oc + o) * packed->k;
      for (int64_t c = 0; c < group_c; ++c)
        for (int64_t t = 0; t < taps; ++t)
          column[(t * group_c + c) * width] = load_float(spec.weights, weights.weights, row + c * taps + t);
      if (spec.bias)
        packed->bias.as<float>()[group * packed->panels_per_group * columns + o] =
            static_cast<const float*>(weights.bias)[group * group_oc + o];
    }
  return packed;
}

}  // namespace narrow::kernels
