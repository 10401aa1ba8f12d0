// A model and what quantization makes of it so far, run side by side over calibration samples, a part of the
// graph at a time, so that every node runs once for every sample and only values that later parts read are
// kept.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
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

/// What is run between two cuts of a graph.
struct GraphPart {
  std::vector<const ir::Value*> inputs, outputs;
};

/// `part_of`: the part of every node that is needed; parts run in order, none reads what a later one makes. A
/// part hands out what later ones read, and what is in `wanted`. Error unsupported (naming the value) where a
/// shape depends on data.
Result<std::vector<GraphPart>> parts_of(const ir::Graph& graph, size_t count,
                                        const std::unordered_map<const ir::Node*, size_t>& part_of,
                                        const std::unordered_set<const ir::Value*>& wanted);

class ModelPair {
 public:
  /// Shapes bound to those of the data, constants folded; no samples yet. `rounding` (how the quantized
  /// model's data are rounded) must outlive the pair. Errors: those of the data; unsupported where states are
  /// carried from run to run.
  static Result<ModelPair> create(const ir::Graph& graph, const FakeQuantize& rounding,
                                  const data::Dataset& dataset, std::shared_ptr<ThreadPool> pool,
                                  const WalkOptions& options);

  const ir::Graph& graph() const { return graph_; }
  const ir::Graph& quantized_graph() const { return student_; }
  /// As many as fit, when both models keep so many bytes of a batch.
  Status read(const data::Dataset& dataset, const WalkOptions& options, int64_t bytes_of_batch);
  int64_t batches() const { return static_cast<int64_t>(original_.size()); }
  int64_t samples() const { return samples_; }

  Status run_original(const GraphPart& part) { return run(part, graph_, nullptr, original_); }
  Status run_quantized(const GraphPart& part) { return run(part, student_, rounding_, quantized_); }
  /// Keeps these values only.
  void keep(const std::unordered_set<std::string>& names);
  /// Null where it is not known.
  const Tensor* original(const ir::Value* value, int64_t batch) const {
    return find(original_, value, batch);
  }
  const Tensor* quantized(const ir::Value* value, int64_t batch) const {
    return find(quantized_, value, batch);
  }
  /// From now on the quantized model computes layer `key` with these weights (FP32, as the original's shape)
  /// and this bias, where there is one.
  void set_parameters(const std::string& key, Tensor weights, std::optional<Tensor> bias);

 private:
  ModelPair(const FakeQuantize& rounding, std::shared_ptr<ThreadPool> pool)
      : rounding_(&rounding), pool_(std::move(pool)) {}
  Result<ir::Graph> bound(const ir::Graph& graph) const;
  /// `rounding`: null for the original.
  Status run(const GraphPart& part, const ir::Graph& graph, const FakeQuantize* rounding,
             std::vector<TensorMap>& values);
  static const Tensor* find(const std::vector<TensorMap>& values, const ir::Value* value, int64_t batch);

  const FakeQuantize* rounding_;
  std::shared_ptr<ThreadPool> pool_;
  ir::Graph graph_, student_;  // `student_` has the changed weights
  std::map<std::string, Shape> shapes_;
  int64_t samples_ = 0, batch_ = 1;
  std::vector<TensorMap> original_, quantized_;  // per batch, by name
};

int64_t bytes_of_value(const ir::Value* value);
/// One behind the other along axis 0. Not empty, none of them scalar.
Tensor joined(const std::vector<Tensor>& batches);

}  // namespace narrow::quant
