#include "ir/interface.h"

namespace narrow::ir {

Interface interface_of(const Graph& graph) {
  Interface interface;
  for (const Value* input : graph.inputs()) interface.inputs.push_back({input->name, input->type});
  for (const GraphOutput& output : graph.outputs())
    interface.outputs.push_back({output.name, output.value->type});
  return interface;
}

}  // namespace narrow::ir
