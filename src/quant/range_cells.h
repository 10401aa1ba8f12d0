// A graph cut into the parts between the values that int8 stores.
#pragma once

#include <vector>

#include "ir/graph.h"

namespace narrow::quant {

/// What is computed out of stored values without another stored value between.
struct RangeCell {
  std::vector<const ir::Value*> inputs;   // stored values and inputs of the model, none of them constant
  std::vector<const ir::Value*> outputs;  // a stored value, or the model's other float results
};

struct RangeCells {
  std::vector<const ir::Value*> values;  // stored with a scale of their own, the model's inputs among them
  std::vector<RangeCell> cells;          // in an order in which inputs are made before they are read
};

/// Precondition: `graph` is sorted.
RangeCells range_cells(const ir::Graph& graph);

}  // namespace narrow::quant
