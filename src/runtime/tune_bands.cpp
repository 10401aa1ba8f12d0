#include "runtime/tune_bands.h"

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

Tactic time_bands(const ir::Graph& graph, const PlanOptions& options, ThreadPool& pool) {
  PlanOptions whole = options;
  whole.slices = options.slices.without_bands();
  PackCache packs;
  std::vector<std::shared_ptr<const Plan>> plans;
  for (const PlanOptions* how : {&options, static_cast<const PlanOptions*>(&whole)}) {
    auto plan = make_plan(graph.clone(), *how, packs);
    if (!plan.ok()) return {};
    plans.push_back(std::move(plan).value());
  }
  if (!has_bands(plans[0]->sections)) return {};
  std::vector<Tensor> inputs;
  for (const ir::Value* input : graph.inputs()) inputs.push_back(filled(input->type));
  Tactic tactic = {{kInBands, 0}, {kWholeImages, 0}};
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
