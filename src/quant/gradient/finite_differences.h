// For tests: gradients of a Network held to central differences of the plain backend in double.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/random.h"
#include "quant/gradient/network.h"
#include "runtime/reference/reference.h"
#include "runtime/test_graphs.h"

namespace narrow::quant::gradient {

/// The graph in double, the wanted weights as further inputs named "weights of NODE".
class DoubleGraph {
 public:
  DoubleGraph(const ir::Graph& graph, const std::map<std::string, Shape>& shapes, const Wanted& wanted)
      : graph_(graph.clone()) {
    EXPECT_TRUE(ir::bind_shapes(graph_, shapes).ok());
    for (const std::string& key : wanted.weights) {
      ir::Node* node = graph_.find_value(key)->producer();
      const Tensor weights = node->input(1)->constant();
      const std::string name = "weights of " + key;
      point_[name] = cast(weights, DType::f64);
      graph_.set_input(node, 1, graph_.add_input(name, ir::TensorType::of(DType::f64, weights.shape())));
    }
    for (ir::Value* value : graph_.values()) {
      if (value->type.dtype != DType::f32) continue;
      const bool scales = !value->uses().empty() && value->uses()[0].node->op() == ir::Op::Resize &&
                          value->uses()[0].index > 0;
      if (value->is_constant() && !scales) graph_.set_constant(value, cast(value->constant(), DType::f64));
      if (value->is_graph_input()) value->type.dtype = DType::f64;
      if (value->producer() != nullptr) value->type = ir::TensorType{};
    }
    const Status inferred = ir::infer_types(graph_);
    EXPECT_TRUE(inferred.ok()) << (inferred.ok() ? "" : inferred.error().message());
  }

  TensorMap& point() { return point_; }

  /// All outputs at the point with one element changed by `step`.
  std::vector<double> outputs(const std::string& input, size_t element, double step) {
    Tensor& x = point_.at(input);
    if (x.dtype() != DType::f64) return {};
    const double before = x.data<double>()[element];
    x.mutable_data<double>()[element] = before + step;
    const auto result = runtime::reference::run(graph_, point_);
    EXPECT_TRUE(result.ok()) << (result.ok() ? "" : result.error().message());
    std::vector<double> all;
    if (result.ok())
      for (const auto& [name, tensor] : *result)  // which may share the input's memory
        for (const double y : tensor.data<double>()) all.push_back(y);
    x.mutable_data<double>()[element] = before;
    return all;
  }

 private:
  ir::Graph graph_;
  TensorMap point_;
};

/// dL/d(element) for L = sum seed * output: by differences, what they are off by, and sum |seed * d output|.
struct Difference {
  double value = 0, error = 0, mass = 0;
};

inline Difference difference(DoubleGraph& graph, const std::string& input, size_t element,
                             const std::vector<double>& seeds) {
  // The truncation error is O(h^2): that of 2h is four times that of h, so their difference exceeds it.
  constexpr double kStep = 1e-4;
  const auto up = graph.outputs(input, element, kStep), down = graph.outputs(input, element, -kStep);
  const auto up2 = graph.outputs(input, element, 2 * kStep),
             down2 = graph.outputs(input, element, -2 * kStep);
  Difference d;
  double wide = 0;
  for (size_t i = 0; i < seeds.size() && i < up.size(); ++i) {
    const double slope = (up[i] - down[i]) / (2 * kStep);
    d.value += seeds[i] * slope;
    d.mass += std::fabs(seeds[i] * slope);
    wide += seeds[i] * (up2[i] - down2[i]) / (4 * kStep);
    // Rounding of the two outputs in double, over the distance.
    d.error += std::fabs(seeds[i]) * 1e-15 * (std::fabs(up[i]) + std::fabs(down[i]) + 1) / kStep;
  }
  d.error += std::fabs(wide - d.value);
  return d;
}

/// Holds every gradient of the network to differences: FP32 sums of n terms are off by at most n eps times
/// the largest sum of magnitudes, and some operations lie between.
inline void expect_gradients(const ir::Graph& graph, const TensorMap& inputs, const Wanted& wanted,
                             uint64_t seed, Isa isa = usable_isa(), int threads = 2) {
  std::map<std::string, Shape> shapes;
  for (const auto& [name, tensor] : inputs) shapes[name] = tensor.shape();
  auto network = Network::create(graph, shapes, wanted, std::make_shared<ThreadPool>(threads), isa);
  ASSERT_TRUE(network.ok()) << network.error().message();
  const Status ran = network->forward(inputs);
  ASSERT_TRUE(ran.ok()) << ran.error().message();
  Random random(seed);
  TensorMap seeds;
  std::vector<double> all;
  std::map<std::string, const Tensor*> outputs;
  for (const ir::GraphOutput& output : graph.outputs()) outputs[output.name] = &network->output(output.name);
  for (const auto& [name, output] : outputs) {
    Tensor t = Tensor::allocate(DType::f32, output->shape());
    for (float& x : t.mutable_data<float>()) all.push_back(x = static_cast<float>(random.normal()));
    seeds[name] = t;
  }
  const Status back = network->backward(seeds);
  ASSERT_TRUE(back.ok()) << back.error().message();

  DoubleGraph wide(graph, shapes, wanted);
  for (const auto& [name, tensor] : inputs)
    wide.point()[name] = tensor.dtype() == DType::f32 ? cast(tensor, DType::f64) : tensor;
  std::map<std::string, std::span<const float>> gradients;
  for (const std::string& name : wanted.inputs) gradients[name] = network->input_gradient(name).data<float>();
  for (const std::string& key : wanted.weights)
    gradients["weights of " + key] = network->weight_gradient(key);
  for (const auto& [name, gradient] : gradients) {
    std::map<size_t, Difference> differences;
    double mass = 0;
    // All of a small tensor, some of a large one: each costs four runs of the graph.
    const size_t stride = gradient.size() / 100 + 1;
    for (size_t i = 0; i < gradient.size(); i += stride) {
      differences[i] = difference(wide, name, i, all);
      mass = std::max(mass, differences[i].mass);
    }
    const double rounding =
        static_cast<double>(all.size() + 64) * std::numeric_limits<float>::epsilon() * mass;
    EXPECT_GT(mass, 0) << name;
    for (const auto& [i, wanted_value] : differences) {
      const double tolerance = rounding + wanted_value.error;
      EXPECT_LT(tolerance, 0.02 * mass) << name << "[" << i << "]: too close to a kink to tell";
      EXPECT_NEAR(gradient[i], wanted_value.value, tolerance) << name << "[" << i << "]";
    }
  }
}

}  // namespace narrow::quant::gradient
