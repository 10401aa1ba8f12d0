// The way for graphs whose shapes depend on data (NonZero, Loop, a Reshape to a computed shape): no plan, no
// arena, the plain backend node by node, each output as large as it turns out to be.
#pragma once

#include <memory>
#include <span>

#include "base/result.h"
#include "ir/graph.h"
#include "runtime/session.h"

namespace narrow::runtime {

/// Some node's output has no type or dims that follow from the graph's inputs.
bool depends_on_data(const ir::Graph& graph);

/// Immutable; shared by sessions like a Plan.
class Interpreter {
 public:
  explicit Interpreter(ir::Graph graph);

  const ir::Graph& graph() const { return graph_; }
  /// One step per node, all of them the reference.
  const PlanInfo& info() const { return info_; }
  /// `inputs` in the order of the graph's inputs. Errors: those of reference::evaluate.
  Result<TensorMap> run(std::span<const Tensor> inputs, Observer* observer) const;

 private:
  ir::Graph graph_;
  PlanInfo info_;
};

}  // namespace narrow::runtime
