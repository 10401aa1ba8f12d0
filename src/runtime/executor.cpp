#include "runtime/executor.h"

#include <cstring>

namespace narrow::runtime {
namespace {

class Execution {
 public:
  Execution(const Plan& plan, std::span<const Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace)
      : plan_(plan), inputs_(inputs), outputs_(outputs), workspace_(workspace) {
    if (workspace.arena.bytes() < plan.arena_bytes) workspace.arena = AlignedBuffer(plan.arena_bytes);
    if (workspace.scratch.bytes() < plan.scratch_bytes) workspace.scratch = AlignedBuffer(plan.scratch_bytes);
  }

  Status run(ThreadPool& pool, Observer* observer) {
    for (const Plan::Loop& loop : plan_.loops)
      for (slice_ = 0; slice_ < loop.count; ++slice_)
        for (size_t k = loop.first; k < loop.end; ++k) NARROW_DO(run_step(plan_.steps[k], pool, observer));
    slice_ = 0;
    for (const Plan::Copy& copy : plan_.copies)
      if (copy.bytes > 0)
        std::memcpy(outputs_[static_cast<size_t>(copy.output)].mutable_raw(), read(copy.from),
                    static_cast<size_t>(copy.bytes));
    return {};
  }

 private:
  Status run_step(const Step& step, ThreadPool& pool, Observer* observer) {
    auto& [arena, scratch, sources, targets] = workspace_;
    if (!step.moves.empty()) move_rows(step.moves, pool);
    sources.clear();
    targets.clear();
    for (const Location& at : step.inputs) sources.push_back(read(at));
    if (step.kernel)
      for (const Location& at : step.outputs) targets.push_back(write(at));
    if (observer != nullptr) observer->before(*step.node, views(step.node->inputs(), step.inputs));
    if (step.kernel)
      NARROW_DO(step.kernel->run(
          {.inputs = sources, .outputs = targets, .scratch = scratch.data(), .next = step.next}, pool));
    if (observer != nullptr) observer->after(*step.node, views(step.node->outputs(), step.outputs));
    return {};
  }

  void move_rows(const std::vector<Move>& moves, ThreadPool& pool) {
    pool.run(std::ssize(moves), [&](int64_t i) {
      const auto& [from, to, bytes] = moves[static_cast<size_t>(i)];
      std::memmove(workspace_.arena.data() + to, workspace_.arena.data() + from, static_cast<size_t>(bytes));
    });
  }

  const void* read(const Location& at) {
    switch (at.kind) {
      case Location::Kind::constant:
        return at.constant != nullptr ? at.constant->raw() : nullptr;
      case Location::Kind::input:
        return static_cast<const std::byte*>(inputs_[static_cast<size_t>(at.index)].raw()) + at.offset +
               slice_ * at.slice_bytes;
      default:
        return write(at);
    }
  }
  void* write(const Location& at) {
    const int64_t from = at.offset + slice_ * at.slice_bytes;
    if (at.kind == Location::Kind::output)
      return static_cast<std::byte*>(outputs_[static_cast<size_t>(at.index)].mutable_raw()) + from;
    NARROW_CHECK(at.kind == Location::Kind::arena);
    return workspace_.arena.data() + at.index + from;
  }
  std::vector<ValueView> views(const std::vector<ir::Value*>& values,
                               const std::vector<Location>& locations) {
    std::vector<ValueView> list;
    for (size_t i = 0; i < values.size(); ++i)
      if (values[i] != nullptr && !values[i]->is_constant())
        list.push_back(
            {values[i], values[i]->type.shape(), const_cast<void*>(read(locations[i])), locations[i].pitch});
    return list;
  }

  const Plan& plan_;
  std::span<const Tensor> inputs_;
  std::span<Tensor> outputs_;
  Workspace& workspace_;
  int64_t slice_ = 0;  // of the section that runs
};

}  // namespace

Result<TensorMap> execute(const Plan& plan, const std::vector<Tensor>& inputs, Workspace& workspace,
                          ThreadPool& pool, Observer* observer) {
  std::vector<Tensor> own, outputs;
  if (observer != nullptr)  // which may write to values
    for (const Tensor& input : inputs) own.push_back(input.clone());
  for (const ir::GraphOutput& output : plan.graph.outputs())
    outputs.push_back(Tensor::allocate(output.value->type.dtype, output.value->type.shape()));
  NARROW_DO(execute_into(plan, observer != nullptr ? own : inputs, outputs, workspace, pool, observer));
  TensorMap named;
  for (size_t i = 0; i < outputs.size(); ++i) named[plan.graph.outputs()[i].name] = std::move(outputs[i]);
  return named;
}

Status execute_into(const Plan& plan, std::span<const Tensor> inputs, std::span<Tensor> outputs,
                    Workspace& workspace, ThreadPool& pool, Observer* observer) {
  return Execution(plan, inputs, outputs, workspace).run(pool, observer);
}

}  // namespace narrow::runtime
