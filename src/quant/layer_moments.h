// What a walk has gathered about one layer: its moments, and the bias that takes what is left of its means.
#pragma once

#include <vector>

#include "ir/graph.h"
#include "parallel/thread_pool.h"
#include "quant/fake_quantize.h"
#include "quant/layer_walk.h"
#include "quant/moments.h"

namespace narrow::quant {

/// The node's bias is a vector of ours to change, or may become one.
bool takes_bias(const ir::Node& node, int64_t channels);

/// Moments of each group of `node`, a node of the stage `walk` has reached; `rounding` is that of the walk.
/// `residual`: of what the result is added to as well, where both models know it by now.
std::vector<Moments> collect_moments(const LayerWalk& walk, const FakeQuantize& rounding,
                                     const ir::Node& node, bool residual, ThreadPool& pool);

/// Of each of the n results:  w^T mean(x) + mean(r) - v^T mean(x') - mean(r'),  w `original` and v `changed`,
/// both [k, n].
std::vector<float> mean_shift(const Moments& moments, const std::vector<float>& original,
                              const std::vector<float>& changed);

}  // namespace narrow::quant
