// Weights in few bits, a group of them along the contraction sharing a scale: weight-only quantization.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "quant/weights_apart.h"
#include "tensor/tensor.h"

namespace narrow::quant {

/// The codes there are: all that the bits allow; -1, 0 and 1; -1 and 1.
enum class CodeSet : uint8_t { integers, ternary, binary };

struct GroupOptions {
  int bits = 4;             // 2, 3, 4 or 8; of ternary and binary 2
  int64_t group_size = 32;  // weights that share a scale, along the contraction; 0: all of a result channel
  /// Zero point 0, codes of one sign more than the other (s4): what TensorRT takes. Otherwise a zero point of
  /// as many bits per group (u4). 8 bits (s8, -127 to 127), ternary and binary are symmetric always.
  bool symmetric = false;
  /// Scales in FP32; otherwise in FP16 where every scale fits.
  bool f32_scales = false;
  CodeSet set = CodeSet::integers;
};

/// x = (code - zero_point) * scale.
struct ScaleFit {
  float scale = 1;
  int zero_point = 0;
};

/// x' = (code - zero_point) * scale, the parameters of element i of `axis` at i / group_size; where a weight
/// stands apart, that and its value: its code is the one that stands for 0, of binary codes the nearest.
struct GroupedWeights {
  Tensor codes;       // u4 or s4 (s8 where `bits` is 8), the weights' shape, `bits` of them used
  Tensor scale;       // f16 or f32, ceil(extent / group_size) on `axis`; [channels] when group_size is 0
  Tensor zero_point;  // as scale, in the codes' type; empty: all 0
  int64_t axis = 0;
  int64_t group_size = 0;  // 0: per channel of `axis`
  int bits = 4;
  CodeSet set = CodeSet::integers;
  WeightsApart apart = {};

  /// Codes, scales, zero points and what stands apart as a .narrow file stores them (five of three codes in a
  /// byte), without the padding of the last byte.
  int64_t stored_bits() const;
  /// Those per weight.
  double bits_per_weight() const;
};

/// Scale and zero point of one group of numbers, not empty; `half_scales`: of those FP16 can hold.
using GroupFit =
    std::function<ScaleFit(std::span<const float> group, const GroupOptions& options, bool half_scales)>;

/// Round to nearest. For each group the range with the least squared error among those shrunk by 1.00, 0.96,
/// ... 0.60, then the scale that fits its codes best in the least-squares sense, if that is better still; of
/// three codes the best there is.
/// Source of the fit: ggml's k-quants (make_qx_quants); the formula is  s = sum(x (q - z)) / sum((q - z)^2).
ScaleFit fit_group(std::span<const float> group, const GroupOptions& options, bool half_scales);

/// Every weight to the nearest code of its group, groups along `axis`; with group_size 0 `axis` is that of
/// the result channels, whose weights are one group each. Weights at the places `apart` (as make_apart()
/// wants them) stand apart: groups are fitted without them.
GroupedWeights quantize_groups(const Tensor& weights, int64_t axis, const GroupOptions& options,
                               const GroupFit& fit = fit_group, std::span<const int64_t> apart = {});
/// The same with the format of `like` and what stands apart there, from the original weights: another fit.
GroupedWeights refit_groups(const Tensor& weights, const GroupedWeights& like, const GroupFit& fit);
/// The options `weights` were made with.
GroupOptions options_of(const GroupedWeights& weights);
/// The nearest FP16 number that is normal.
float half_scale(float scale);
/// FP16 holds every scale these weights can get.
bool scales_fit_half(const Tensor& weights);

/// s8, one scale per index of `axis` (weights.h): for weights whose contraction is shorter than a group.
GroupedWeights quantize_per_channel(const Tensor& weights, int64_t axis);

/// The code of a weight that stands apart: of binary codes the nearest.
int code_apart(float weight, const ScaleFit& fit, const GroupOptions& options);

/// The FP32 numbers.
Tensor dequantize_groups(const GroupedWeights& weights);

}  // namespace narrow::quant
