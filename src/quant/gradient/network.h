// A small FP32 graph that runs forward and backward: reverse-mode differentiation of a block of a network
// with respect to the constant weights of its heavy nodes and to its inputs.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/cpu.h"
#include "base/result.h"
#include "ir/graph.h"
#include "parallel/thread_pool.h"
#include "tensor/tensor.h"

namespace narrow::quant::gradient {

/// What gradients are wanted of.
struct Wanted {
  std::vector<std::string> weights;  // heavy nodes, by the name of their first output (quant::key_of)
  std::vector<std::string> inputs;   // of the graph, f32
};

struct NetworkOptions {
  /// Image-shaped inputs and outputs lie as [N,H,W,C] where the network works on them so (lies_last()):
  /// whoever feeds it many times need not have them turned in every run.
  bool lying_borders = false;
};

class Network {
 public:
  /// `graph`: portable (after passes::portable_passes), bound to `shapes` of its inputs here. Forward it runs
  /// on the engine's kernels, nothing fused, images channels last. Errors: unsupported, naming the first node
  /// and op on the way of a gradient that has no rule, or a heavy node whose weights the engine would change
  /// (Gemm with alpha); those of ir::bind_shapes and the passes.
  static Result<Network> create(const ir::Graph& graph, const std::map<std::string, Shape>& shapes,
                                const Wanted& wanted, std::shared_ptr<ThreadPool> pool,
                                Isa isa = usable_isa(), const NetworkOptions& options = {});
  Network(Network&&) noexcept;
  Network& operator=(Network&&) noexcept;
  ~Network();

  /// Whether an input or output lies as [N,H,W,C].
  bool input_lies_last(const std::string& name) const;
  bool output_lies_last(const std::string& name) const;

  /// Of a wanted heavy node, laid out as in the graph. What is written counts from the next forward() on.
  std::span<float> weights(const std::string& node);
  /// Of the last backward().
  std::span<const float> weight_gradient(const std::string& node) const;
  const Tensor& input_gradient(const std::string& input) const;

  /// Tensors of exactly the shapes and types the network was made for; kept until the next forward().
  Status forward(const TensorMap& inputs);
  const Shape& output_shape(const std::string& name) const;
  /// Of the last forward(), f32; valid until the next.
  const Tensor& output(const std::string& name) const;
  /// dL/d(output) by output name, in the outputs' shapes; absent: 0. After forward().
  Status backward(const TensorMap& seeds);

 private:
  struct State;
  explicit Network(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace narrow::quant::gradient
