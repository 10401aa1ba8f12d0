#include "bench/profile.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <unordered_map>

#include "base/check.h"
#include "base/clock.h"

namespace narrow::bench {
namespace {

using StepSpans = std::vector<Span>;  // of one step in one run, a span per slice

double total_us(const StepSpans& spans) {
  return std::accumulate(spans.begin(), spans.end(), 0.0,
                         [](double sum, const Span& span) { return sum + span.us; });
}

class StepTimer final : public runtime::Observer {
 public:
  bool takes_slices() const override { return true; }
  void before(const ir::Node& /*node*/, std::span<const runtime::ValueView> /*inputs*/) override {
    again_.clear();
    started_us_ = now_us();
  }
  void after(const ir::Node& node, std::span<const runtime::ValueView> outputs) override {
    const double done_us = now_us();
    // The executor listed the outputs before this call, inside of what was timed. Listed once more they say
    // what that took: some 0.1 us, much for the steps of a small model.
    for (const runtime::ValueView& view : outputs) again_.push_back(view);
    const double listed_us = now_us() - done_us;
    const auto [step, fresh] = steps_.try_emplace(node.output()->name, nodes_.size());
    if (fresh) {
      spans_.emplace_back();
      nodes_.emplace_back();
    }
    nodes_[step->second].push_back(&node);
    spans_[step->second].push_back({started_us_, std::max(0.0, done_us - started_us_ - listed_us)});
  }

  const std::vector<StepSpans>& spans() const { return spans_; }
  /// What each step ran: a node per slice.
  const std::vector<std::vector<const ir::Node*>>& nodes() const { return nodes_; }
  double total_us() const {
    return std::accumulate(spans_.begin(), spans_.end(), 0.0,
                           [](double sum, const StepSpans& spans) { return sum + bench::total_us(spans); });
  }

 private:
  double now_us() const { return watch_.seconds() * 1e6; }

  Stopwatch watch_;
  double started_us_ = 0;
  std::vector<StepSpans> spans_;
  std::vector<std::vector<const ir::Node*>> nodes_;
  std::unordered_map<std::string, size_t> steps_;  // by their output: their places in those lists
  std::vector<runtime::ValueView> again_;
};

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + std::ssize(values) / 2;
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

/// The run whose steps took the median time together.
const std::vector<StepSpans>& median_run(const std::vector<std::vector<StepSpans>>& runs,
                                         const std::vector<double>& totals) {
  std::vector<size_t> order(runs.size());
  std::iota(order.begin(), order.end(), size_t{0});
  const auto middle = order.begin() + std::ssize(order) / 2;
  std::nth_element(order.begin(), middle, order.end(),
                   [&](size_t a, size_t b) { return totals[a] < totals[b]; });
  return runs[*middle];
}

/// The steps of a plan with what each has to do, as the run that `seen` watched went through them.
std::vector<StepProfile> describe(const runtime::PlanInfo& info, const StepTimer& seen) {
  NARROW_CHECK(info.steps.size() == seen.nodes().size());
  const Isa isa = usable_isa();
  std::vector<StepProfile> steps;
  for (size_t i = 0; i < info.steps.size(); ++i) {
    StepProfile step;
    step.choice = info.steps[i];
    for (const ir::Node* node : seen.nodes()[i]) {
      if (step.choice.kernel == "alias") break;
      step.arithmetic = arithmetic_of(*node, step.choice.kernel, isa);
      step.macs = add_counts(step.macs, macs_of(*node));
      step.bytes = add_counts(step.bytes, bytes_moved(*node));
    }
    steps.push_back(std::move(step));
  }
  return steps;
}

void set_times(std::vector<StepProfile>& steps, const std::vector<std::vector<StepSpans>>& runs,
               const std::vector<StepSpans>& traced) {
  for (size_t i = 0; i < steps.size(); ++i) {
    std::vector<double> times;
    for (const std::vector<StepSpans>& run : runs) times.push_back(total_us(run[i]));
    steps[i].ms = median(std::move(times)) / 1e3;
    steps[i].traced = traced[i];
  }
}

double rate(int64_t count, double ms) { return ms > 0 ? static_cast<double>(count) / ms / 1e6 : 0; }

}  // namespace

std::string StepProfile::name() const {
  return choice.node.empty() ? fmt::format("{}", fmt::join(choice.outputs, ",")) : choice.node;
}
double StepProfile::gops() const { return 2 * rate(macs, ms); }
double StepProfile::gb_s() const { return rate(bytes, ms); }
double StepProfile::compute_share() const { return ms > 0 ? bound.compute_ms / ms : 0; }
double StepProfile::bandwidth_share() const { return ms > 0 ? bound.memory_ms / ms : 0; }

int64_t Profile::macs() const {
  int64_t sum = 0;
  for (const StepProfile& step : steps) sum = add_counts(sum, step.macs);
  return sum;
}

int64_t Profile::bytes() const {
  int64_t sum = 0;
  for (const StepProfile& step : steps) sum = add_counts(sum, step.bytes);
  return sum;
}

void Profile::set_roofs(const Roofs& measured) {
  roofs = measured;
  for (StepProfile& step : steps) step.bound = bound_of(step.macs, step.bytes, step.arithmetic, roofs);
}

Result<Profile> profile(runtime::Session& session, const TensorMap& inputs, int repetitions,
                        const Progress& progress) {
  std::map<std::string, Shape> shapes;
  for (const auto& [name, tensor] : inputs) shapes[name] = tensor.shape();
  NARROW_TRY(const runtime::PlanInfo info, session.plan_info(shapes));
  StepTimer first;
  NARROW_DO(session.run(inputs, &first));
  NARROW_DO(session.run(inputs));
  Profile result;
  result.steps = describe(info, first);
  result.repetitions = repetitions;
  result.arena_bytes = info.arena_bytes;
  result.arena_lower_bound = info.arena_lower_bound;
  std::vector<std::vector<StepSpans>> runs;
  std::vector<double> alone_ms, totals;
  for (int i = 0; i < repetitions; ++i) {
    report(progress, "profile", i, repetitions);
    const Stopwatch watch;
    NARROW_DO(session.run(inputs));
    alone_ms.push_back(watch.milliseconds());
    StepTimer timer;
    NARROW_DO(session.run(inputs, &timer));
    NARROW_CHECK(timer.spans().size() == result.steps.size());
    totals.push_back(timer.total_us());
    runs.push_back(timer.spans());
  }
  report(progress, "profile", repetitions, repetitions);
  if (runs.empty()) return result;
  set_times(result.steps, runs, median_run(runs, totals));
  result.run_ms = median(std::move(alone_ms));
  for (const StepProfile& step : result.steps) result.steps_ms += step.ms;
  return result;
}

std::vector<KernelShare> by_kernel(const Profile& profile) {
  std::map<std::pair<std::string, std::string>, KernelShare> shares;
  for (const StepProfile& step : profile.steps) {
    KernelShare& share = shares[{step.choice.op, step.choice.kernel}];
    share.op = step.choice.op, share.kernel = step.choice.kernel;
    ++share.steps;
    share.macs = add_counts(share.macs, step.macs);
    share.bytes = add_counts(share.bytes, step.bytes);
    share.ms += step.ms;
  }
  std::vector<KernelShare> list;
  for (auto& [key, share] : shares) list.push_back(std::move(share));
  std::stable_sort(list.begin(), list.end(),
                   [](const KernelShare& a, const KernelShare& b) { return a.ms > b.ms; });
  return list;
}

namespace {

Json to_json(const StepProfile& step, double all_ms) {
  return {{"node", step.choice.node},
          {"outputs", step.choice.outputs},
          {"op", step.choice.op},
          {"kernel", step.choice.kernel},
          {"emulated", step.choice.emulated},
          {"slices", step.choice.slices},
          {"bands", step.choice.bands},
          {"formats", step.choice.formats},
          {"arithmetic", to_string(step.arithmetic)},
          {"macs", step.macs},
          {"bytes", step.bytes},
          {"ms", step.ms},
          {"share", all_ms > 0 ? step.ms / all_ms : 0},
          {"gops", step.gops()},
          {"gb_s", step.gb_s()},
          {"compute_share", step.compute_share()},
          {"bandwidth_share", step.bandwidth_share()},
          {"limit", step.bound.limit}};
}

double whole_nanoseconds(double us) { return std::round(us * 1e3) / 1e3; }

}  // namespace

Json to_json(const Roofs& roofs) {
  return {{"fp32_gops", roofs.fp32_gops},   {"bf16_gops", roofs.bf16_gops},
          {"int8_gops", roofs.int8_gops},   {"memory_gb_s", roofs.memory_gb_s},
          {"cache_gb_s", roofs.cache_gb_s}, {"cache_bytes", roofs.cache_bytes}};
}

Json to_json(const Profile& profile) {
  Json steps = Json::array(), kernels = Json::array();
  for (const StepProfile& step : profile.steps) steps.push_back(to_json(step, profile.steps_ms));
  for (const KernelShare& share : by_kernel(profile))
    kernels.push_back({{"op", share.op},
                       {"kernel", share.kernel},
                       {"steps", share.steps},
                       {"macs", share.macs},
                       {"bytes", share.bytes},
                       {"ms", share.ms},
                       {"share", profile.steps_ms > 0 ? share.ms / profile.steps_ms : 0}});
  return {{"run_ms", profile.run_ms},
          {"steps_ms", profile.steps_ms},
          {"explained", profile.explained()},
          {"repetitions", profile.repetitions},
          {"macs", profile.macs()},
          {"bytes", profile.bytes()},
          {"arena_bytes", profile.arena_bytes},
          {"arena_lower_bound", profile.arena_lower_bound},
          {"roofs", to_json(profile.roofs)},
          {"steps", steps},
          {"kernels", kernels}};
}

Json to_trace(const Profile& profile, const std::string& model) {
  Json events = Json::array();
  for (const StepProfile& step : profile.steps) {
    const Json args = {{"kernel", step.choice.kernel},
                       {"format", fmt::format("{}", fmt::join(step.choice.formats, ","))},
                       {"arithmetic", to_string(step.arithmetic)},
                       {"gops", 2 * rate(step.macs, total_us(step.traced) / 1e3)},
                       {"macs", step.macs / step.choice.slices},
                       {"bytes", step.bytes / step.choice.slices}};
    for (const Span& span : step.traced)
      events.push_back({{"name", step.name()},
                        {"cat", step.choice.op},
                        {"ph", "X"},
                        {"pid", 1},
                        {"tid", 1},
                        {"ts", whole_nanoseconds(span.start_us)},
                        {"dur", whole_nanoseconds(span.us)},
                        {"args", args}});
  }
  return {{"traceEvents", events}, {"displayTimeUnit", "ms"}, {"otherData", {{"model", model}}}};
}

}  // namespace narrow::bench
