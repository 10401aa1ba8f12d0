// Channels between products that nothing but linear operators lie between: the values of attention, which
// are mixed over tokens head by head, and products straight behind one another. Blocks of channels that stay
// together (a head) can be multiplied by an orthogonal matrix in the weights that make them and in those that
// read them.
#pragma once

#include <string>
#include <vector>

#include "ir/graph.h"

namespace narrow::quant {

/// A constant whose channels along `axis` (negative: from the last; `extent` of them) are turned, block by
/// block.
struct TurnedConstant {
  ir::Node* node;
  int input;
  int64_t axis, extent;
  std::vector<int64_t> starts;  // of the blocks
};

struct ValueRotation {
  int64_t block = 0, blocks = 0;  // channels of a block; blocks that are made (heads of the values)
  bool attention = false;         // the channels pass a product of two activations
  std::vector<ir::Node*> producers, consumers;
  std::vector<TurnedConstant> constants;
};

struct ValueLeft {
  std::string value, reason;
};

struct ValueRotations {
  std::vector<ValueRotation> rotations;
  std::vector<ValueLeft> left_alone;  // values of attention
};

/// `graph`: portable and typed.
ValueRotations find_value_rotations(const ir::Graph& graph);

}  // namespace narrow::quant
