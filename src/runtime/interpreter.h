// The way for graphs whose shapes depend on data (NonZero, Loop, a Reshape to a computed shape): no plan, no
// arena, the plain backend node by node, each output as large as it turns out to be.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "ir/graph.h"
#include "runtime/session.h"

namespace narrow::runtime {

/// Some node's output has no type or dims that follow from the graph's inputs.
bool depends_on_data(const ir::Graph& graph);

/// Belongs to one session: the branches it has taken have plans of their own.
class Interpreter {
 public:
  Interpreter(ir::Graph graph, std::shared_ptr<ThreadPool> pool, SessionOptions options);

  const ir::Graph& graph() const { return graph_; }
  /// One step per node, all of them the reference.
  const PlanInfo& info() const { return info_; }
  /// `inputs` in the order of the graph's inputs. Errors: those of reference::evaluate.
  Result<TensorMap> run(std::span<const Tensor> inputs, Observer* observer);

 private:
  Result<std::vector<Tensor>> evaluate(const ir::Node& node, const std::vector<const Tensor*>& inputs);
  Result<std::vector<Tensor>> run_branch(const ir::Graph& body, std::span<const Tensor* const> captures);

  ir::Graph graph_;
  PlanInfo info_;
  std::shared_ptr<ThreadPool> pool_;
  SessionOptions options_;
  std::map<const ir::Graph*, Session> branches_;
};

}  // namespace narrow::runtime
