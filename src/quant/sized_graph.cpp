#include "quant/sized_graph.h"

#include "ir/schema.h"
#include "passes/pass.h"
#include "runtime/reference/reference.h"

namespace narrow::quant {

ir::Graph sized_graph(const ir::Graph& graph, const std::map<std::string, Shape>& shapes) {
  const passes::Pass* fold = passes::find_pass("fold_constants");
  NARROW_CHECK(fold != nullptr);
  ir::Graph sized = graph.clone();
  if (ir::bind_shapes(sized, shapes).ok() &&
      passes::run_passes(sized, {fold, 1}, {.evaluate = runtime::reference::evaluate}).ok())
    return sized;
  return graph.clone();
}

}  // namespace narrow::quant
