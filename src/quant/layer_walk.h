// Walks the heavy layers of a model in order, with what each reads in the original and in the model quantized
// so far.
//
// The graph is cut where a layer's input is ready, and both models run from cut to cut (model_pair.h).
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "quant/model_pair.h"

namespace narrow::quant {

/// Layers that read the same value.
struct Stage {
  const ir::Value* input = nullptr;
  std::vector<const ir::Node*> nodes;
};

class LayerWalk {
 public:
  /// `layers`: keys of the heavy nodes to visit. `rounding`: how the quantized model's data are rounded; it
  /// must outlive the walk. Errors: those of the data; unsupported (naming the value) where shapes depend on
  /// data, or states are carried from run to run.
  static Result<LayerWalk> create(const ir::Graph& graph, const std::set<std::string>& layers,
                                  const FakeQuantize& rounding, const data::Dataset& dataset,
                                  std::shared_ptr<ThreadPool> pool, const WalkOptions& options = {});

  const std::vector<Stage>& stages() const { return stages_; }
  int64_t batches() const { return pair_.batches(); }
  int64_t samples() const { return pair_.samples(); }

  /// Runs both models up to the input of stage `index`; stages are taken in order.
  Status advance(size_t index);
  /// What the stage reached reads: FP32, before it is rounded for a layer.
  const Tensor& original_input(int64_t batch) const { return *original(stages_[reached_].input, batch); }
  const Tensor& quantized_input(int64_t batch) const { return *quantized(stages_[reached_].input, batch); }
  /// Any value in both models, where it is known by now and still needed; else null.
  const Tensor* original(const ir::Value* value, int64_t batch) const { return pair_.original(value, batch); }
  const Tensor* quantized(const ir::Value* value, int64_t batch) const {
    return pair_.quantized(value, batch);
  }
  /// Node `key` of the quantized model.
  const ir::Node& quantized_node(const std::string& key) const {
    return *pair_.quantized_graph().find_value(key)->producer();
  }
  /// From now on the quantized model computes layer `key` with these weights (FP32, as the original's shape)
  /// and this bias, where there is one.
  void set_parameters(const std::string& key, Tensor weights, std::optional<Tensor> bias) {
    pair_.set_parameters(key, std::move(weights), std::move(bias));
  }

 private:
  explicit LayerWalk(ModelPair pair) : pair_(std::move(pair)) {}
  void find_stages(const std::set<std::string>& layers);
  Status cut();
  int64_t bytes_at_cuts() const;
  void forget(size_t stage);

  ModelPair pair_;
  std::vector<Stage> stages_;
  std::vector<GraphPart> segments_;
  size_t reached_ = 0;
};

}  // namespace narrow::quant
