// A model as its callers see it: names and types of what it takes and gives, without what it computes.
#pragma once

#include <string>
#include <vector>

#include "ir/graph.h"

namespace narrow::ir {

struct Port {
  std::string name;
  TensorType type;
  bool operator==(const Port&) const = default;
};

struct Interface {
  std::vector<Port> inputs, outputs;
  bool operator==(const Interface&) const = default;
};

Interface interface_of(const Graph& graph);

}  // namespace narrow::ir
