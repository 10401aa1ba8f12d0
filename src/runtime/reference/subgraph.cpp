#include "runtime/reference/subgraph.h"

#include <fmt/format.h>

#include "runtime/reference/reference.h"

namespace narrow::runtime::reference {

Result<const ir::Graph*> subgraph(const ir::Node& node, const std::string& attr) {
  const auto it = node.attrs.find(attr);
  const auto* graph = it == node.attrs.end() ? nullptr : std::get_if<std::shared_ptr<ir::Graph>>(&it->second);
  if (graph == nullptr || *graph == nullptr) return invalid(node, "a graph as attribute " + attr, "none");
  return graph->get();
}

Outputs run_subgraph(const ir::Node& node, const ir::Graph& body, const std::vector<Tensor>& inputs) {
  if (inputs.size() != body.inputs().size())
    return invalid(node, fmt::format("{} inputs for the body", body.inputs().size()),
                   std::to_string(inputs.size()));
  TensorMap given;
  for (size_t i = 0; i < inputs.size(); ++i) given[body.inputs()[i]->name] = inputs[i];
  NARROW_TRY(const TensorMap results, run(body, given));
  std::vector<Tensor> outputs;
  for (const ir::GraphOutput& output : body.outputs()) outputs.push_back(results.at(output.name));
  return outputs;
}

}  // namespace narrow::runtime::reference
