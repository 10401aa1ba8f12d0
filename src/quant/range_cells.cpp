#include "quant/range_cells.h"

#include <algorithm>
#include <unordered_set>

#include "quant/regions.h"

namespace narrow::quant {
namespace {

using ir::Node;
using ir::Value;

/// Written in the scale of what it reads, so it is not rounded again.
bool hands_scale_on(const Node& node, const IntegerRegions& regions) {
  const bool keeps = is_movement(node) || node.op() == ir::Op::MaxPool || node.op() == ir::Op::GlobalMaxPool;
  return keeps && regions.nodes.contains(&node) && node.input(0) != nullptr &&
         regions.stored.contains(node.input(0));
}

/// What `outputs` are computed from, back to `cut`.
RangeCell cell_of(std::vector<const Value*> outputs, const std::unordered_set<const Value*>& cut) {
  RangeCell cell{{}, outputs};
  std::unordered_set<const Value*> seen(outputs.begin(), outputs.end());
  std::vector<const Value*> open = std::move(outputs);
  while (!open.empty()) {
    const Node* producer = open.back()->producer();
    open.pop_back();
    for (const Value* input : producer->inputs()) {
      if (input == nullptr || input->is_constant() || !seen.insert(input).second) continue;
      if (cut.contains(input) || input->producer() == nullptr)
        cell.inputs.push_back(input);
      else
        open.push_back(input);
    }
  }
  return cell;
}

}  // namespace

RangeCells range_cells(const ir::Graph& graph) {
  RangeCells found;
  const IntegerRegions regions = integer_regions(graph, {});
  for (const Value* input : graph.inputs())
    if (regions.stored.contains(input)) found.values.push_back(input);
  for (const Node* node : graph.nodes())
    for (const Value* output : node->outputs())
      if (regions.stored.contains(output) && !hands_scale_on(*node, regions)) found.values.push_back(output);
  const std::unordered_set<const Value*> cut(found.values.begin(), found.values.end());
  for (const Value* value : found.values)
    if (value->producer() != nullptr) found.cells.push_back(cell_of({value}, cut));
  std::vector<const Value*> results;
  for (const ir::GraphOutput& output : graph.outputs()) {
    const Value* value = output.value;
    if (value->producer() != nullptr && !cut.contains(value) && value->type.dtype == DType::f32 &&
        std::find(results.begin(), results.end(), value) == results.end())
      results.push_back(value);
  }
  if (!results.empty()) found.cells.push_back(cell_of(std::move(results), cut));
  return found;
}

}  // namespace narrow::quant
