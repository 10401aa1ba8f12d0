// Follows positive scale factors through a graph: every channel that a layer with constant weights makes gets
// a factor number, and every operator says what the factors of its result are when its inputs are divided by
// theirs. Where channels meet (an Add, a pooling window), their factors become one; what cannot be scaled
// through (a Sigmoid, a graph output, an operator this file does not know) makes its factors one: number 0.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "quant/channel_ids.h"

namespace narrow::quant {

/// Numbers that became equal.
class UnionFind {
 public:
  int fresh();
  int find(int a) const;
  void unite(int a, int b);  // the smaller root stays: what meets 0 is 0

 private:
  mutable std::vector<int> parent_ = {0};
};

/// A layer's channels, on the side that reads or the side that makes them.
struct FlowLayer {
  ir::Node* node;
  std::vector<int> ids;
};
/// Another input of a node (input 0 of a Clip) and the factors of its elements.
struct FlowSite {
  ir::Node* node;
  int input;
  ChannelIds ids;
};
struct FlowBarrier {
  const ir::Value* value;
  std::string reason;
};

class FactorFlow {
 public:
  /// `graph`: portable and typed (passes::portable_passes).
  explicit FactorFlow(const ir::Graph& graph);

  const ChannelIds& of(const ir::Value* value) const;
  int find(int id) const { return factors_.find(id); }

  const std::vector<FlowLayer>& producers() const { return producers_; }
  const std::vector<FlowLayer>& consumers() const { return consumers_; }
  const std::vector<FlowSite>& shifts() const { return shifts_; }  // constants that are added
  const std::vector<FlowSite>& clips() const { return clips_; }
  const std::vector<FlowBarrier>& barriers() const { return barriers_; }

 private:
  using Node = ir::Node;
  using Value = ir::Value;

  // factor_flow.cpp: what layers, arithmetic and activations do
  void visit(Node* node);
  ChannelIds result_of(Node* node);
  void read_by_layer(Node* node, const Value* x, int64_t axis, int64_t channels);
  ChannelIds made_by_layer(Node* node, int64_t axis, int64_t channels);
  ChannelIds conv(Node* node);
  ChannelIds matrix(Node* node);
  ChannelIds norm(Node* node);
  ChannelIds clip(Node* node);
  ChannelIds sum(Node* node);
  ChannelIds added_constant(Node* node, int constant);
  ChannelIds product(Node* node);
  ChannelIds product_with_constant(Node* node, int constant);
  ChannelIds activation_product(Node* node);
  ChannelIds extremum(Node* node);

  // factor_movement.cpp
  ChannelIds movement(Node* node);
  ChannelIds gather(Node* node);
  ChannelIds slice(Node* node);
  ChannelIds concat(Node* node);
  ChannelIds repeat(Node* node);
  ChannelIds pad(Node* node);
  ChannelIds padded(const ChannelIds& x, int64_t axis, int64_t before, int64_t after);
  ChannelIds resize(Node* node);
  ChannelIds reduce(Node* node);
  ChannelIds pool(Node* node);
  ChannelIds depth_to_space(Node* node);
  ChannelIds space_to_depth(Node* node);
  void split(Node* node);

  // both
  /// The factors along `axes` become one each.
  ChannelIds united_along(ChannelIds x, const std::vector<int64_t>& axes);
  ChannelIds united(const ChannelIds& a, const ChannelIds& b);
  void pin(const ChannelIds& x);
  /// Nothing scales through: inputs and result keep factor one.
  ChannelIds barrier(const Node* node, const std::string& reason);
  ChannelIds barrier(const Node* node);
  ChannelIds one(const Value* value) const;

  const ir::Graph& graph_;
  UnionFind factors_;
  std::unordered_map<const Value*, ChannelIds> ids_;
  std::vector<FlowLayer> producers_, consumers_;
  std::vector<FlowSite> shifts_, clips_;
  std::vector<FlowBarrier> barriers_;
};

}  // namespace narrow::quant
