// A layer's stored weights as the rounding methods see them: matrices on a grid.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "ir/graph.h"
#include "quant/gptq.h"
#include "quant/heavy_shape.h"
#include "quant/recipe.h"

namespace narrow::quant {

/// The constant weights of a group of a heavy node: [k, n].
std::vector<float> matrix_of(const ir::Node& node, int64_t group);

/// One heavy node whose weights a recipe stores in integers. Reads and writes the recipe's codes and scales.
class LayerWeights {
 public:
  /// Precondition: stores(recipe, node).
  LayerWeights(const ir::Node& node, Recipe& recipe);
  static bool stores(const Recipe& recipe, const ir::Node& node);

  const HeavyShape& shape() const { return shape_; }
  /// What the weights of a group may become.
  WeightGrid grid(int64_t group) const;
  /// Scales are found with the codes: those of groups and of 4-bit weights.
  bool fits_scales() const { return grid_.fit != nullptr; }
  /// As they are stored now.
  GridWeights stored(int64_t group) const;
  void store(int64_t group, const GridWeights& weights);
  /// [k, n]: 1 where a weight stands apart; empty where none of the layer does.
  std::vector<uint8_t> apart(int64_t group) const;
  /// The numbers that are stored now, in the shape of the weights.
  Tensor real() const;

 private:
  void take_groups(GroupedWeights& groups);
  void fit_four_bit(Quantization& quant);
  float least_scale() const;
  size_t parameter(int64_t group, int64_t run, int64_t n) const;
  int64_t entry_apart(int64_t group, int64_t k, int64_t n) const;
  void store_apart(int64_t group, const GridWeights& weights);

  const ir::Node& node_;
  Recipe& recipe_;
  HeavyShape shape_;
  WeightGrid grid_;
  GroupedWeights* grouped_ = nullptr;  // null: one scale per result channel, fixed
  std::vector<float> scale_;           // those, where they are fixed
  Quantization* four_bit_ = nullptr;   // one scale per result channel, not fixed
  Quantization* channels_ = nullptr;   // of weights whose groups have whole steps of these
  GroupedWeights stepped_;             // those, as codes
  Tensor* codes_ = nullptr;
  std::vector<int64_t> apart_;  // places of the weights apart
};

/// Keys of the heavy nodes whose weights `recipe` stores in integers.
std::set<std::string> stored_layers(const ir::Graph& graph, const Recipe& recipe);

}  // namespace narrow::quant
