// Sliding windows: what convolutions and pools make of one spatial axis.
#pragma once

#include <cstdint>
#include <vector>

#include "ir/ops/support.h"

namespace narrow::ir::ops {

enum class AutoPad { notset, same_upper, same_lower, valid };

struct Window {
  std::vector<int64_t> kernel;  // -1: not known
  std::vector<int64_t> strides, dilations;
  std::vector<int64_t> pads;  // of every axis at its begin, then of every axis at its end
  AutoPad auto_pad = AutoPad::notset;
  bool ceil = false;

  Wide extent(size_t axis) const { return Wide{kernel[axis] - 1} * dilations[axis] + 1; }
  Wide padding(size_t axis) const { return Wide{pads[axis]} + pads[kernel.size() + axis]; }
};

/// The attributes strides, dilations, pads, auto_pad and ceil_mode around a kernel of the given size (-1: not
/// known); attribute kernel_shape must agree with it. Errors: lists of another length, values out of range.
Result<Window> window_of(const NodeView& view, std::vector<int64_t> kernel);

/// Positions of the window along one axis of `in` elements:
///   floor((in + pads - extent) / stride) + 1,  ceil with ceil_mode (a last window that starts in the end
///   padding does not count),  ceil(in / stride) with SAME_*.
/// An unknown axis keeps its symbol where the window leaves the size alone.
Result<Dim> window_positions(const NodeView& view, const Window& window, size_t axis, const Dim& in);

/// The reverse, for ConvTranspose:  stride * (in - 1) + output_padding + extent - pads;  in * stride with
/// SAME_*.
Result<Dim> transposed_extent(const NodeView& view, const Window& window, size_t axis, int64_t output_padding,
                              const Dim& in);

}  // namespace narrow::ir::ops
