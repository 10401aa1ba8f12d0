// Channels that can be scaled without changing what a model computes: where a layer with constant weights
// makes them, everything up to the layers that read them lets a positive factor pass, and those take it back
// in their weights. FactorFlow finds them; this is its result, cut into groups that do not touch each other.
#pragma once

#include <string>
#include <vector>

#include "quant/channel_ids.h"

namespace narrow::quant {

constexpr int kFixed = -1;  // in the place of a factor: stays as it is

struct ScaledLayer {
  ir::Node* node;            // Conv, Gemm, MatMul; a normalisation; a Mul or Div by constants
  std::vector<int> factors;  // per result channel (producers) or input channel (consumers)
};

struct ScaledValue {
  ir::Value* value;
  ChannelIds factors;
};

/// A Clip whose bounds are not 0 or infinite. It commutes with a factor only for elements that stay inside.
struct ScaledClip {
  ir::Node* node;
  double low, high;
  ChannelIds factors;  // of its input
};

/// A constant that is added on the way.
struct ScaledShift {
  ir::Node* node;
  int input;
  ChannelIds factors;  // of the node's result
};

struct ScaleGroup {
  int factors = 0;  // how many
  std::vector<ScaledLayer> producers, consumers;
  std::vector<ScaledValue> values;  // all that are divided by a factor, in the order of the graph
  std::vector<ScaledShift> shifts;
  std::vector<ScaledClip> clips;
};

struct LeftAlone {
  std::string value, reason;
};

struct ScaleGroups {
  std::vector<ScaleGroup> groups;  // in the order of the graph
  std::vector<LeftAlone> barriers;
};

/// `graph`: portable and typed. Groups with clips are only safe where the caller knows what the clips do.
ScaleGroups find_scale_groups(const ir::Graph& graph);

/// Only products with constant weights read it, and nothing on the way depends on how large it is.
bool only_products_read(const ScaleGroup& group);

/// Divides every value of the group by its factors: what producers make, and shifts, become 1 / factor times
/// as large, consumers' weights factor times. Each number is rounded once more (twice in a constant that is
/// both). Constants with other readers are copied. factors: positive and finite, one per factor of the group.
void rescale(ir::Graph& graph, const ScaleGroup& group, const std::vector<double>& factors);

/// Where the weights of a layer are, [outputs, inputs of a group, positions], whatever its op.
struct WeightView {
  int64_t outputs, inputs, positions, groups;
  int64_t output_stride, input_stride;  // elements
  std::span<const float> data;

  float at(int64_t output, int64_t input, int64_t position) const {
    return data[static_cast<size_t>(output * output_stride + input * input_stride + position)];
  }
  int64_t input_channels() const { return inputs * groups; }
  int64_t group_of(int64_t output) const { return output / (outputs / groups); }
};
/// A Conv, Gemm or MatMul of constant weights.
WeightView weight_view(const ir::Node& node);
bool has_weight_view(const ir::Node& node);

}  // namespace narrow::quant
