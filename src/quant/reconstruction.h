// A block as reconstruction sees it: samples gathered into batches, its loss, its gradients.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "quant/gradient/network.h"
#include "quant/learned_rounding.h"

namespace narrow::quant {

/// The block with Quantize/DequantizeLinear around every stored value.
/// Errors: invalid_argument, no such value.
Result<ir::Graph> with_stored_values(const ir::Graph& block, const std::vector<StoredValue>& stored);

/// The block bound to a batch. Its weights are written by whoever learns them.
class Reconstruction {
 public:
  /// `batch` samples at a time; one by one where the block does not take so many. Errors: learn_rounding's.
  static Result<Reconstruction> create(const ReconstructionTask& task, int64_t batch,
                                       std::shared_ptr<ThreadPool> pool, Isa isa);

  gradient::Network& network() { return network_; }
  const gradient::Network& network() const { return network_; }
  /// Sum of squared errors over these samples, with the weights as they are.
  Result<double> loss(std::span<const int64_t> samples);
  /// The same, and for every layer `gradients` the sum over the samples of  factor/2 d(squared
  /// error)/d(weights).
  Result<double> loss_and_gradients(std::span<const int64_t> samples, float factor,
                                    std::span<const std::span<float>> gradients);
  /// Elements of all outputs of one sample.
  int64_t elements_per_sample() const;
  /// Samples of one run of the network.
  int64_t run_size() const { return run_; }
  /// Runs these samples, at most run_size().
  Status forward(std::span<const int64_t> samples);
  /// What an output of the i-th of these samples should be, and the importance of its errors (null: 1 each),
  /// laid out as the network's output. After forward() of them.
  const float* target(const std::string& output, std::span<const int64_t> samples, size_t i) const {
    return slice(task_->outputs, targets_, output, samples, i);
  }
  const float* importance(const std::string& output, std::span<const int64_t> samples, size_t i) const {
    return slice(task_->importance, importance_, output, samples, i);
  }

 private:
  Reconstruction(const ReconstructionTask& task, gradient::Network network, int64_t run,
                 std::shared_ptr<ThreadPool> pool, Isa isa);
  static Result<gradient::Network> bind(const ReconstructionTask& task, const ir::Graph& graph, int64_t run,
                                        std::shared_ptr<ThreadPool> pool, Isa isa);
  void gather(std::span<const int64_t> samples);
  /// Slices of `source`, images turned channels last where `turn` says so, one behind the other.
  void gather(const Tensor& source, std::span<const int64_t> samples, bool turn, Tensor& batch);
  const float* slice(const TensorMap& source, const TensorMap& turned, const std::string& name,
                     std::span<const int64_t> samples, size_t i) const;
  /// Of the run under way; writes the seeds where `factor` is not 0.
  double errors(std::span<const int64_t> samples, float factor);

  const ReconstructionTask* task_;
  gradient::Network network_;
  int64_t run_;  // samples the network takes at a time
  std::shared_ptr<ThreadPool> pool_;
  Isa isa_;
  TensorMap inputs_, seeds_;        // of one run
  TensorMap targets_, importance_;  // the same, of outputs that lie channels last
};

}  // namespace narrow::quant
