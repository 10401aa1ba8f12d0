#include "runtime/tune_plan.h"

#include <algorithm>
#include <cstring>

#include "base/clock.h"
#include "runtime/executor.h"
#include "runtime/filler.h"

namespace narrow::runtime {
namespace {

constexpr int kRounds = 9;
constexpr double kEnoughMs = 3000;
constexpr double kMargin = 0.97;

Tensor filled(const ir::TensorType& type) {
  Tensor tensor = Tensor::allocate(type.dtype, type.shape());
  const AlignedBuffer bytes = filler(type);
  if (bytes.bytes() > 0) std::memcpy(tensor.mutable_raw(), bytes.data(), static_cast<size_t>(bytes.bytes()));
  return tensor;
}

}  // namespace

Tactic time_plans(const std::array<PlanAnswer, 2>& answers, const PlanOptions& options, ThreadPool& pool) {
  PackCache packs;
  std::vector<std::shared_ptr<const Plan>> plans;
  for (const PlanAnswer& answer : answers) {
    PlanOptions answered = options;
    answered.tactics = &answer.tactics;
    auto plan = make_plan(answer.graph.clone(), answered, packs, pool);
    if (!plan.ok()) return {};
    plans.push_back(std::move(plan).value());
  }
  const bool one_graph = &answers[0].graph == &answers[1].graph;
  if (one_graph && has_bands(plans[0]->sections) == has_bands(plans[1]->sections) &&
      plans[0]->info.fetches_ahead == plans[1]->info.fetches_ahead)
    return {};
  std::vector<Tensor> inputs;
  for (const ir::Value* input : answers[0].graph.inputs()) inputs.push_back(filled(input->type));
  Tactic tactic = {{answers[0].name, 0}, {answers[1].name, 0}};
  Workspace workspace;
  const Stopwatch all;
  for (int round = 0; round < kRounds && (round < 3 || all.milliseconds() < kEnoughMs); ++round)
    for (size_t i = 0; i < plans.size(); ++i) {
      const Stopwatch watch;
      if (!execute(*plans[i], inputs, workspace, pool).ok()) return {};
      const double us = watch.milliseconds() * 1000;
      double& least = tactic[i].microseconds;
      least = round < 2 ? us : std::min(least, us);  // the first warms up
    }
  put_fastest_first(tactic, kMargin);
  return tactic;
}

}  // namespace narrow::runtime
