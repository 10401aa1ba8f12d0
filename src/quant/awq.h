// AWQ: input channels that carry much signal get larger weights before these are rounded in groups, so that
// their rounding errors, divided again by the same factors, are smaller.
//
// Source: Lin et al., "AWQ: Activation-aware Weight Quantization for LLM Compression and Acceleration",
// arXiv:2306.00978. docs/methods/awq.md.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "ir/graph.h"
#include "quant/groups.h"

namespace narrow::quant {

struct AwqOptions {
  GroupOptions groups;  // how the weights will be stored; groups along their input channels
  /// Exponents 0, 1 / steps, ... 1 are tried.
  int steps = 20;
  /// A group of channels is left alone where the error would fall by less than this share.
  double least_gain = 0.01;
};

struct AwqGroup {
  std::vector<std::string> producers, consumers;  // ONNX names
  int64_t channels = 0;
  double alpha = 0;                  // the exponent taken
  double smallest = 1, largest = 1;  // factor
  /// Squared error of the consumers' results on `rows` over their squares, the mean of the consumers.
  double error_before = 0, error_after = 0;
};

struct AwqReport {
  std::vector<AwqGroup> groups;  // only those that changed
  std::string note;              // for Recipe::notes; empty when nothing changed
};

/// For every group of channels (scale_groups.h) that only products with constant weights read: factors
///   s_j = mean |x_j|^alpha, together divided by the geometric mean of the largest and the smallest,
/// weights of channel j times s_j and what they read divided by it, with the alpha of least error of the
/// results,
///   sum over rows |x^T (Q(s W) / s - W)|^2,    Q: the nearest codes of groups.
/// Everything that reads the channels shares the factors; they are folded into what makes them (a
/// normalisation's constants, another layer's weights), so the graph gains no node. `rows`: of sample_rows()
/// for values_to_smooth(), by name. Changes constants of `graph` in place; it computes what it did up to
/// their rounding. Weights in groups are planned, and values calibrated, afterwards.
Result<AwqReport> awq(ir::Graph& graph, const std::map<std::string, Tensor>& rows,
                      const AwqOptions& options = {});

}  // namespace narrow::quant
