// Walks the heavy layers of a model in order, with what each reads in the original and in the model quantized
// so far.
//
// The graph is cut where a layer's input is ready. Both models run from cut to cut, so every node runs once
// for every sample, and only values that later parts read are kept.
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "data/dataset.h"
#include "ir/graph.h"
#include "parallel/thread_pool.h"
#include "quant/fake_quantize.h"

namespace narrow::quant {

struct WalkOptions {
  int64_t samples = 256;  // at most, spread evenly over the data
  int64_t batch = 8;
  int64_t memory = int64_t{3} << 29;  // bytes of values kept at a cut: fewer samples where more would not fit
  /// The quantized model starts from these constants: the same nodes and names as the graph that is walked.
  /// Null: from that graph.
  const ir::Graph* start = nullptr;
};

/// Layers that read the same value.
struct Stage {
  const ir::Value* input = nullptr;
  std::vector<const ir::Node*> nodes;  // of LayerWalk::graph()
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
  int64_t batches() const { return static_cast<int64_t>(original_.size()); }
  int64_t samples() const { return samples_; }

  /// Runs both models up to the input of stage `index`; stages are taken in order.
  Status advance(size_t index);
  /// What the stage reached reads: FP32, before it is rounded for a layer.
  const Tensor& original_input(int64_t batch) const { return *original(stages_[reached_].input, batch); }
  const Tensor& quantized_input(int64_t batch) const { return *quantized(stages_[reached_].input, batch); }
  /// Any value in both models, where it is known by now and still needed; else null.
  const Tensor* original(const ir::Value* value, int64_t batch) const {
    return find(original_, value, batch);
  }
  const Tensor* quantized(const ir::Value* value, int64_t batch) const {
    return find(quantized_, value, batch);
  }
  /// Node `key` of the quantized model.
  const ir::Node& quantized_node(const std::string& key) const {
    return *student_.find_value(key)->producer();
  }
  /// From now on the quantized model computes layer `key` with these weights (FP32, as the original's shape)
  /// and this bias, where there is one.
  void set_parameters(const std::string& key, Tensor weights, std::optional<Tensor> bias);

 private:
  /// What is run between two cuts.
  struct Segment {
    std::vector<const ir::Value*> inputs, outputs;
  };

  LayerWalk(const FakeQuantize& rounding, std::shared_ptr<ThreadPool> pool)
      : rounding_(&rounding), pool_(std::move(pool)) {}
  Result<ir::Graph> bound(const ir::Graph& graph) const;
  Status bind(const ir::Graph& graph, const data::Dataset& dataset, const WalkOptions& options);
  void find_stages(const std::set<std::string>& layers);
  Status cut();
  int64_t bytes_at_cuts() const;
  Status read(const data::Dataset& dataset, const WalkOptions& options);
  /// `rounding`: null for the original.
  Status run_segment(const Segment& segment, const ir::Graph& graph, const FakeQuantize* rounding,
                     std::vector<TensorMap>& values);
  void forget(size_t stage);
  static const Tensor* find(const std::vector<TensorMap>& values, const ir::Value* value, int64_t batch);

  const FakeQuantize* rounding_;
  std::shared_ptr<ThreadPool> pool_;
  ir::Graph graph_, student_;  // static shapes, constants folded; `student_` has the changed weights
  std::map<std::string, Shape> shapes_;
  int64_t samples_ = 0, batch_ = 1;
  std::vector<Stage> stages_;
  std::vector<Segment> segments_;
  std::vector<TensorMap> original_, quantized_;  // per batch: values that are still needed, by name
  size_t reached_ = 0;
};

}  // namespace narrow::quant
