// Data rounded as a recipe will store it, in an FP32 graph: what layers will meet once deployed.
#pragma once

#include <string>
#include <unordered_map>

#include "ir/graph.h"
#include "quant/recipe.h"

namespace narrow::quant {

/// Rounds what each node reads: stored values of int8 nodes by their scales, the data of int8-dynamic nodes
/// row by row. A reader that stays wide sees what it would see.
class FakeQuantize {
 public:
  /// `graph`: the one the recipe was made for. Both must outlive this.
  FakeQuantize(const ir::Graph& graph, const Recipe& recipe);

  /// Puts the rounding into `part`, a part of the graph (ir/extract.h). Types are not inferred afterwards.
  void insert(ir::Graph& part) const;
  /// Input `index` of `reader` as it is read: `x` is the value before rounding, FP32.
  Tensor read_by(const ir::Node& reader, int index, const Tensor& x) const;

 private:
  enum class Kind { none, stored, rows, samples };
  Kind kind_of(const ir::Node& reader, int index) const;

  const Recipe& recipe_;
  std::unordered_map<std::string, NodeFormat> producer_;  // format of a value's producer
};

}  // namespace narrow::quant
