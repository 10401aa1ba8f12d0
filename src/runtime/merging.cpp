#include "runtime/merging.h"

#include <array>

#include "passes/pass.h"
#include "runtime/choose.h"

namespace narrow::runtime {

std::optional<ir::Graph> with_merged_convolutions(const ir::Graph& graph) {
  ir::Graph merged = graph.clone();
  const std::array pass = {*passes::find_pass("merge_parallel_convs")};
  const auto records = passes::run_passes(merged, pass, {});
  if (!records.ok() || records->at(0).changes == 0) return std::nullopt;
  return merged;
}

void merge_where_faster(ir::Graph& graph, const PlanOptions& options) {
  if (!takes_merging(PlanKeys(graph), options)) return;
  if (std::optional<ir::Graph> merged = with_merged_convolutions(graph)) graph = std::move(*merged);
}

}  // namespace narrow::runtime
