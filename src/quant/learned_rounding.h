// Rounding learned from the outputs it causes: AdaRound for a layer, block-wise reconstruction for several.
//
// Every weight becomes one of the two codes around it. Which, is a number h in [0, 1] that gradient descent
// moves until it is 0 or 1, so that the block's outputs stay those of the original; no labels are needed.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/cpu.h"
#include "base/progress.h"
#include "base/result.h"
#include "ir/graph.h"
#include "parallel/thread_pool.h"
#include "quant/groups.h"
#include "tensor/tensor.h"

namespace narrow::quant {

/// A heavy node whose rounding is learned.
struct LayerStart {
  std::string node;  // key_of(): the name of its first output
  /// Codes to start from, of the shape of the node's constant weights; their scales and zero points stay. Per
  /// channel (group_size 0, zero points 0) or in groups (quant/groups.h); `bits` 2 to 8 bound the codes:
  /// [-2^(bits-1), 2^(bits-1) - 1] for signed types (8 bits: from -127), [0, 2^bits - 1] for others. What
  /// stands apart stays as it is.
  GroupedWeights start;
};

/// A value that will lie in memory as u8: rounded and clamped forward, straight through backward.
struct StoredValue {
  std::string value;
  float scale = 1;
  int32_t zero_point = 0;
};

/// Part of a network, and what it is to reproduce.
struct ReconstructionTask {
  /// FP32 and portable (after passes::portable_passes): some inputs, one or more outputs. A layer with its
  /// activation is the smallest.
  const ir::Graph* block = nullptr;
  /// Samples. Every tensor below has as many slices along its first axis, or a multiple (rows of several
  /// tokens).
  int64_t samples = 0;
  TensorMap inputs;   // by the block's inputs: what the quantized network before it gives
  TensorMap outputs;  // by the block's outputs: what the original gives on the original's inputs
  /// By output: a factor for every squared error (Fisher information, say); absent: 1.
  TensorMap importance;
  /// Inputs that are the same for every sample (a mask): given as they are.
  TensorMap shared_inputs;
  std::vector<LayerStart> layers;
  std::vector<StoredValue> stored;  // values inside the block, its inputs or outputs
};

/// Which code a weight may take beside the start's: the next one on the weight's side (AdaRound's two, where
/// the start is the nearest), or the next one where the loss falls, for starts that are good already.
enum class Neighbour : uint8_t { weight, downhill };

struct RoundingOptions {
  int64_t iterations = 2000;
  int64_t batch = 32;  // samples in a step; as many as there are when there are fewer
  float rate = 0.01F;  // Adam's
  /// How hard h is pushed to 0 or 1, beside a loss that is 1 per weight at the start.
  float pressure = 1.0F;
  double warm_up = 0.2;                          // the part of the iterations without that push
  int first_sharpness = 20, last_sharpness = 2;  // exponents beta of the push, annealed
  /// 0: h starts where the weights lie between their two codes, so that nothing is lost at first. 1: at the
  /// start's codes. In between: between (from 0.5 on, h rounds to the start's codes).
  /// Neighbours downhill: always 1.
  float trust = 0;
  Neighbour neighbour = Neighbour::weight;
  /// The part of the samples that judges only: where the loss on it did not fall, the start is kept. 0: all
  /// samples learn and judge.
  double held_out = 0.125;
  uint64_t seed = 1;
};

/// Mean squared error of the outputs' elements, each times its importance.
struct ReconstructionLoss {
  double before = 0, after = 0;
};

struct LearnedRounding {
  std::vector<LayerStart> layers;        // as in the task, with the codes that were found
  int64_t weights = 0, changed = 0;      // codes that differ from the start's
  ReconstructionLoss learned, held_out;  // of the samples that taught, and those that judge
  bool kept_start = false;
};

/// AdaRound's objective over a block:
///   min_V  sum (block(x; w(V)) - y)^2 + pressure sum (1 - |2 h(V) - 1|^beta)
///   w = s (floor code - z + h(V)),   h(V) = clamp(1.2 sigmoid(V) - 0.1, 0, 1)
/// the first sum scaled to 1 per weight at the start; beta falls from 20 to 2 in whole steps along a cosine.
/// Adam; mini-batches from shuffles of the samples. Same result for any number of threads. Time: iterations *
/// batch * about three times the block's multiply-adds. Memory: twice the values of a batch inside the block,
/// 24 bytes a weight. Errors: those of gradient::Network::create (unsupported: an operator without a rule);
/// invalid_argument: tensors whose extents do not fit `samples`, layers that are no heavy nodes of the block
/// or whose codes do not fit. Source: Nagel et al., "Up or Down? Adaptive Rounding for Post-Training
/// Quantization", arXiv:2004.10568; Li et al., "BRECQ: Pushing the Limit of Post-Training Quantization by
/// Block Reconstruction", arXiv:2102.05426.
Result<LearnedRounding> learn_rounding(const ReconstructionTask& task, const RoundingOptions& options,
                                       std::shared_ptr<ThreadPool> pool, const Progress& progress = {},
                                       Isa isa = usable_isa());

}  // namespace narrow::quant
