// Scales of weights by the error of the layer's output instead of the weights' own.
#pragma once

#include "quant/learned_rounding.h"

namespace narrow::quant {

struct ScaleSearchOptions {
  /// Factors that every scale of the start is tried with, evenly spaced, and 1.
  double least = 0.5, most = 1.1;
  int64_t candidates = 31;
  int64_t batch = 32;  // samples at a time
};

struct SearchedScales {
  LayerStart layer;         // rounded to nearest
  ReconstructionLoss loss;  // mean squared error of the output's elements, each times its importance
  int64_t changed = 0;      // result channels whose scales are not the start's
};

/// Sequential MSE: for each result channel the factor of its scales with the least squared error of the
/// channel's outputs, weights rounded to nearest; the channels of a product do not influence one another.
/// `task`: a block of one heavy node, its one layer, and at most element-wise functions behind it; one
/// output, channels along axis 1 (Conv) or the last (MatMul, Gemm). Scales in groups keep their proportions
/// and zero points. Time: candidates + 1 runs of all samples. Errors: those of learn_rounding();
/// invalid_argument: another layout. Source: "Sequential MSE" of AIMET (Qualcomm), after Nagel et al.,
/// arXiv:2106.08295, section 3.1.
Result<SearchedScales> search_scales(const ReconstructionTask& task, const ScaleSearchOptions& options,
                                     std::shared_ptr<ThreadPool> pool, const Progress& progress = {},
                                     Isa isa = usable_isa());

}  // namespace narrow::quant
