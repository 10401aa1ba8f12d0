#include "runtime/executor.h"

#include <cstring>

namespace narrow::runtime {
namespace {

class Execution {
 public:
  Execution(const Plan& plan, const std::vector<Tensor>& inputs, Workspace& workspace)
      : plan_(plan), inputs_(inputs), workspace_(workspace) {
    if (workspace.arena.bytes() < plan.arena_bytes) workspace.arena = AlignedBuffer(plan.arena_bytes);
    if (workspace.scratch.bytes() < plan.scratch_bytes) workspace.scratch = AlignedBuffer(plan.scratch_bytes);
    for (const ir::GraphOutput& output : plan.graph.outputs())
      outputs_.push_back(Tensor::allocate(output.value->type.dtype, output.value->type.shape()));
  }

  /// Observers may write to values, so inputs become copies they can write to.
  void own_inputs() {
    for (Tensor& input : inputs_) input = input.clone();
  }

  Status run(ThreadPool& pool, Observer* observer) {
    std::vector<const void*> sources;
    std::vector<void*> targets;
    for (const Step& step : plan_.steps) {
      sources.clear();
      targets.clear();
      for (const Location& at : step.inputs) sources.push_back(read(at));
      if (step.kernel)
        for (const Location& at : step.outputs) targets.push_back(write(at));
      if (observer != nullptr) observer->before(*step.node, views(step.node->inputs(), step.inputs));
      if (step.kernel)
        NARROW_DO(step.kernel->run(
            {.inputs = sources, .outputs = targets, .scratch = workspace_.scratch.data()}, pool));
      if (observer != nullptr) observer->after(*step.node, views(step.node->outputs(), step.outputs));
    }
    for (const Plan::Copy& copy : plan_.copies)
      if (copy.bytes > 0)
        std::memcpy(outputs_[static_cast<size_t>(copy.output)].mutable_raw(), read(copy.from),
                    static_cast<size_t>(copy.bytes));
    return {};
  }

  TensorMap take_outputs() {
    TensorMap named;
    for (size_t i = 0; i < outputs_.size(); ++i)
      named[plan_.graph.outputs()[i].name] = std::move(outputs_[i]);
    return named;
  }

 private:
  const void* read(const Location& at) {
    switch (at.kind) {
      case Location::Kind::constant:
        return at.data;
      case Location::Kind::input:
        return inputs_[static_cast<size_t>(at.index)].raw();
      default:
        return write(at);
    }
  }
  void* write(const Location& at) {
    if (at.kind == Location::Kind::output) return outputs_[static_cast<size_t>(at.index)].mutable_raw();
    NARROW_CHECK(at.kind == Location::Kind::arena);
    return workspace_.arena.data() + at.index;
  }
  std::vector<ValueView> views(const std::vector<ir::Value*>& values,
                               const std::vector<Location>& locations) {
    std::vector<ValueView> list;
    for (size_t i = 0; i < values.size(); ++i)
      if (values[i] != nullptr && !values[i]->is_constant())
        list.push_back({values[i], values[i]->type.shape(), const_cast<void*>(read(locations[i]))});
    return list;
  }

  const Plan& plan_;
  std::vector<Tensor> inputs_;
  Workspace& workspace_;
  std::vector<Tensor> outputs_;
};

}  // namespace

Result<TensorMap> execute(const Plan& plan, const std::vector<Tensor>& inputs, Workspace& workspace,
                          ThreadPool& pool, Observer* observer) {
  Execution execution(plan, inputs, workspace);
  if (observer != nullptr) execution.own_inputs();
  NARROW_DO(execution.run(pool, observer));
  return execution.take_outputs();
}

}  // namespace narrow::runtime
