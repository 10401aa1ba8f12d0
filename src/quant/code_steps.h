// Bytes made of 4 bits: groups of weights whose steps are whole multiples of the result channel's, so that
// what is stored in 4 bits is computed as int8 with one scale per channel.
//
//   w = scale[c] * byte,   byte = step[g] * (code - zero_point[g]),   code in 0..15, step in 1..15
//
// Source: "progressive group quantization" of Lin et al., "QServe: W4A8KV4 Quantization and System Co-design
// for Efficient LLM Serving", arXiv:2405.04532, section 4.1.
#pragma once

#include <span>

#include "numerics/quantization.h"
#include "quant/groups.h"

namespace narrow::quant {

/// How the bytes of one layer are made of codes. Without groups the bytes are the codes, signed.
struct CodeSteps {
  Tensor step, zero_point;  // u4, the weights' shape with ceil(extent / group_size) on `axis`
  int64_t axis = 0;
  int64_t group_size = 0;  // 0: no groups
  bool has_groups() const { return group_size > 0; }
  /// What codes, steps and zero points take for so many weights.
  int64_t stored_bits(int64_t weights) const;
};

/// The largest step with which all codes around `zero_point` are bytes in [-127, 127].
int largest_step(int zero_point);

/// The step (1..15, as `scale`) and zero point of least  sum importance (x - byte)^2  for a group of numbers
/// in units of their channels' scales, of all there are. `importance`: none, or as many as numbers. Not
/// empty.
ScaleFit fit_step(std::span<const float> group, std::span<const float> importance = {});
/// The step nearest to `wanted` that `zero_point` allows.
int nearest_step(float wanted, int zero_point);

/// Scales of channels for weights in groups: symmetric, along `axis`, 120 of them reach the largest magnitude
/// (the largest step times the codes on the shorter side).
Quantization channel_scales(const Tensor& weights, int64_t axis);

struct SteppedWeights {
  Tensor bytes;  // s8, the weights' shape
  CodeSteps steps;
};
/// Every weight to the nearest code of its group along `axis`.
SteppedWeights step_groups(const Tensor& weights, const Quantization& channels, int64_t axis,
                           int64_t group_size);

/// The same numbers as weights whose groups have scales of their own: u4 codes, scales in FP32. Precondition:
/// steps.has_groups().
GroupedWeights grouped_of(const Tensor& bytes, const Quantization& channels, const CodeSteps& steps);
/// Back: each group's scale is the nearest multiple of its channel's.
SteppedWeights stepped_of(const GroupedWeights& weights, const Quantization& channels);
/// Where `weights` are those of grouped_of() with all scales of a channel multiplied by one number: the
/// scales of the channels multiplied by it.
Quantization rescaled_channels(const GroupedWeights& weights, const Quantization& channels,
                               const CodeSteps& steps);

}  // namespace narrow::quant
