// SmoothQuant: outliers of a few channels go from the values that products read into the weights that read
// them.
//
// Source: Xiao et al., "SmoothQuant: Accurate and Efficient Post-Training Quantization for Large Language
// Models", arXiv:2211.10438. docs/methods/smoothquant.md.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "calib/range.h"
#include "ir/graph.h"

namespace narrow::quant {

struct SmoothOptions {
  /// The products will scale their data row by row at run time (int8-dynamic) instead of once (int8).
  bool dynamic = false;
  calib::RangeOptions ranges;  // how int8 will choose ranges; histograms only
  /// Migration strengths 0, 1 / steps, ... 1 are tried.
  int steps = 20;
};

struct SmoothedGroup {
  std::vector<std::string> producers, consumers;  // ONNX names
  int64_t channels = 0;
  double alpha = 0;  // the migration strength taken
  double smallest = 1, largest = 1;
  double sqnr_before = 0, sqnr_after = 0;  // of the consumers' results, estimated, in dB
};

struct SmoothReport {
  std::vector<SmoothedGroup> groups;  // only those that changed
  std::string note;                   // for Recipe::notes; empty when nothing changed
};

/// Values whose rows smooth() wants to see: what products with constant weights read, where its channels can
/// be scaled.
std::set<std::string> values_to_smooth(const ir::Graph& graph);

/// For every group of channels (scale_groups.h) that only products read: factors
///   s_j = max |x_j|^alpha / max |W_j|^(1 - alpha)
/// with the alpha whose estimated error of the products' results is least, none where that is no gain.
/// Everything that reads the group shares them; they are folded into what makes it: the constants of a
/// normalisation, or the weights of another layer. `rows`: of sample_rows(), by name. Changes constants of
/// `graph` in place. Calibrate again afterwards.
Result<SmoothReport> smooth(ir::Graph& graph, const std::map<std::string, Tensor>& rows,
                            const SmoothOptions& options = {});

}  // namespace narrow::quant
