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
  std::vector<std::span<const std::byte>> stored() const override {
    return {{panels.data(), static_cast<size_t>(panels.bytes())}};
  }
};

std::shared_ptr<const F32Weights> pack_f32_weights(const ConvSpec& spec, const ConvWeights& weights,
                                                   int64_t lanes);
/// ConvStorage of weights that are f32 already; narrower ones would grow.
std::string f32_not_stored(const ConvSpec& spec);
int64_t f32_stored_size(const ConvSpec& spec, int64_t lanes);
void f32_unpack(const ConvSpec& spec, int64_t lanes, const AlignedBuffer& panels, float* weights);

/// One element of a float type.
float load_float(DType type, const void* data, int64_t i);

}  // namespace narrow::kernels
