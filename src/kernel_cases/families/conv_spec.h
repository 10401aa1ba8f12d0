// The convolution that a case says, and its operands.
#pragma once

#include <memory>

#include "kernel_cases/common_fields.h"
#include "kernel_cases/family.h"
#include "kernels/conv/conv.h"

namespace narrow::kernel_cases {

kernels::ConvShape conv_shape_of(const Case& c);
/// Scales that the case leaves open are such that sums of uniform operands spread over the integer range.
kernels::ConvSpec conv_spec_of(const Case& c);

/// What stays the same from run to run, beside the weights of each candidate.
struct ConvOperands {
  kernels::ConvSpec spec;
  Bytes weights, bias;

  int64_t depth() const {
    const kernels::ConvShape& s = spec.shape;
    return s.c / s.groups * s.kh * s.kw;
  }
  kernels::ConvWeights constants() const { return {weights.data(), spec.bias ? bias.data() : nullptr}; }
};

Problem pose_conv(const Case& c);
/// inputs[0] is src, inputs[1] the residual if there is one.
void solve_conv(const ConvOperands& operands, Problem& problem);
Case draw_conv(Dice& dice, int64_t budget);
std::vector<Case> smaller_conv(const Case& c);
std::vector<Listed> list_conv();

/// The accuracies of an output's bounds: direct sums, F(2x2, 3x3), F(4x4, 3x3), and f16 numbers split in two.
constexpr size_t kDirect = 0, kWinograd = 1, kWinograd4 = 2, kSplit = 3;

}  // namespace narrow::kernel_cases
