// Weights of the dense float convolutions: panels of [k][columns] floats, k over (kh, kw, c), columns =
// output channels.
#pragma once

#include "base/aligned.h"
#include "kernels/conv/conv.h"

namespace narrow::kernels {

struct F32Weights final : PackedWeights {
  int64_t lanes = 0, k = 0;  // the last panel of a group has only `lanes` columns when that is enough
  int64_t panels_per_group = 0, group_floats = 0;
  AlignedBuffer panels;  // [group][panel][k][columns], zero beyond oc / groups
  AlignedBuffer bias;    // [group][panels_per_group * 2 * lanes]

  const float* panel(int64_t group, int64_t i) const {
    return panels.as<float>() + group * group_floats + i * k * 2 * lanes;
  }
  const float* panel_bias(int64_t group, int64_t i) const {
    return bias.as<float>() + (group * panels_per_group + i) * 2 * lanes;
  }
  int64_t bytes() const override { return panels.bytes() + bias.bytes(); }
};

std::shared_ptr<const F32Weights> pack_f32_weights(const ConvSpec& spec, const ConvWeights& weights,
                                                   int64_t lanes);

/// One element of a float type.
float load_float(DType type, const void* data, int64_t i);

}  // namespace narrow::kernels
