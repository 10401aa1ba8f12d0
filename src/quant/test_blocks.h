// For tests of what learns from samples: correlated inputs, blocks, their losses by the plain backend.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "quant/codes.h"
#include "quant/learned_rounding.h"
#include "runtime/reference/reference.h"
#include "runtime/test_graphs.h"

namespace narrow::quant::testing_blocks {

/// Random walks along the channels: neighbours correlate, which is what rounding can be learned from.
inline Tensor correlated(const Shape& shape, int64_t channel_axis, uint64_t seed) {
  Random random(seed);
  Tensor x = Tensor::allocate(DType::f32, shape);
  int64_t inner = 1;
  for (size_t a = static_cast<size_t>(channel_axis) + 1; a < shape.size(); ++a) inner *= shape[a];
  const int64_t channels = shape[static_cast<size_t>(channel_axis)];
  const auto values = x.mutable_data<float>();
  for (int64_t o = 0; o < x.elements() / (channels * inner); ++o)
    for (int64_t i = 0; i < inner; ++i) {
      double walk = random.normal();
      for (int64_t c = 0; c < channels; ++c, walk += 0.4 * random.normal())
        values[static_cast<size_t>((o * channels + c) * inner + i)] = static_cast<float>(walk);
    }
  return x;
}

/// Symmetric codes, a scale for each index of `axis`: half a code beyond the last is the largest magnitude.
inline GroupedWeights per_channel(const Tensor& weights, int64_t axis, int bits) {
  const auto channels = static_cast<size_t>(weights.dim(axis));
  std::vector<float> scale(channels, 0.0F);
  int64_t inner = 1;
  for (int64_t a = axis + 1; a < weights.rank(); ++a) inner *= weights.dim(a);
  const auto values = weights.data<float>();
  for (size_t i = 0; i < values.size(); ++i) {
    const size_t c = i / static_cast<size_t>(inner) % channels;
    scale[c] = std::max(scale[c], std::fabs(values[i]) / (std::ldexp(1.0F, bits - 1) - 0.5F));
  }
  GroupedWeights w{.codes = Tensor::zeros(DType::s8, weights.shape()),
                   .scale = Tensor::of(Shape{weights.dim(axis)}, scale),
                   .zero_point = {},
                   .axis = axis,
                   .group_size = 0,
                   .bits = bits};
  w.codes = nearest_codes(w, values);
  return w;
}

inline Result<TensorMap> outputs_of(const ir::Graph& graph, const TensorMap& inputs) {
  return runtime::reference::run(graph, inputs);
}

inline const Tensor& weights_in(const ir::Graph& graph, const std::string& node) {
  return graph.find_value(node)->producer()->input(1)->constant();
}

/// The block with these codes for weights.
inline ir::Graph with_codes(const ir::Graph& graph, const std::vector<LayerStart>& layers) {
  ir::Graph copy = graph.clone();
  for (const LayerStart& layer : layers)
    copy.set_constant(copy.find_value(layer.node)->producer()->input(1), dequantize_groups(layer.start));
  return copy;
}

/// Mean squared error over all outputs.
inline double loss_of(const ir::Graph& graph, const TensorMap& inputs, const TensorMap& wanted) {
  const auto got = outputs_of(graph, inputs);
  EXPECT_TRUE(got.ok()) << (got.ok() ? "" : got.error().message());
  double sum = 0, count = 0;
  for (const auto& [name, tensor] : wanted) {
    const auto a = got->at(name).data<float>(), b = tensor.data<float>();
    for (size_t i = 0; i < b.size(); ++i, ++count)
      sum += std::pow(static_cast<double>(a[i]) - static_cast<double>(b[i]), 2);
  }
  return sum / count;
}

/// A graph, and the task to reproduce what it gives on `inputs` with narrow weights.
struct Trial {
  ir::Graph graph;
  ReconstructionTask task;

  Trial(const std::string& text, const TensorMap& inputs, int64_t samples,
        const std::vector<std::string>& nodes, int bits)
      : graph(testing_graphs::graph_from(text)) {
    const auto outputs = outputs_of(graph, inputs);
    EXPECT_TRUE(outputs.ok()) << (outputs.ok() ? "" : outputs.error().message());
    task.block = &graph, task.samples = samples, task.inputs = inputs, task.outputs = *outputs;
    for (const std::string& node : nodes) {
      const bool conv = graph.find_value(node)->producer()->op() == ir::Op::Conv;
      task.layers.push_back({node, per_channel(weights_in(graph, node), conv ? 0 : 1, bits)});
    }
  }
};

}  // namespace narrow::quant::testing_blocks
