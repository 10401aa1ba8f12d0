#include "pipeline/judge.h"

#include <algorithm>
#include <cmath>

#include "base/clock.h"
#include "pipeline/metric_command.h"
#include "quant/apply.h"
#include "quant/digest.h"

namespace narrow::pipeline {
namespace {

double slack_of(const verify::GateResult& result) {
  const bool at_most = result.gate.op == verify::Gate::Op::le || result.gate.op == verify::Gate::Op::lt;
  return at_most ? result.gate.bound - result.value : result.value - result.gate.bound;
}

/// Gathers one build's outputs for the metric command.
verify::OutputSink sink_into(OutputCollector& collector) {
  return [&collector](size_t, const data::Batch& batch, const TensorMap& outputs) {
    return collector.add(batch, outputs);
  };
}

}  // namespace

double Judgement::noise() const {
  constexpr double kBroken = 1e20;
  const double noise = std::pow(10.0, -sqnr_db() / 10);
  return std::isfinite(noise) ? noise : kBroken;
}

std::string Judgement::reasons() const {
  std::string text;
  for (const verify::GateResult& gate : gates) text += (text.empty() ? "" : "; ") + gate.reason;
  return text;
}

Result<Judge> Judge::create(const ir::Graph& fp32, const data::Dataset& eval, JudgeOptions options,
                            std::shared_ptr<ThreadPool> pool, const Progress& progress) {
  std::erase_if(options.gates, [](const verify::Gate& gate) { return !verify::is_about_answers(gate); });
  Judge judge(fp32, std::move(options), pool);
  NARROW_TRY(runtime::Session reference, runtime::Session::create(fp32, pool));
  if (judge.options_.proof == verify::Proof::sequential) {
    judge.reference_ = std::make_unique<runtime::Session>(std::move(reference));
    judge.answers_ =
        verify::ReferenceAnswers::when_needed(*judge.reference_, eval, *pool, judge.options_.units);
    return judge;
  }
  NARROW_TRY(judge.answers_,
             verify::ReferenceAnswers::create(reference, eval, *pool, judge.options_.samples, progress));
  if (!judge.options_.metric_command.empty()) {
    OutputCollector collector;
    NARROW_DO(judge.answers_->show(sink_into(collector)));
    NARROW_TRY(judge.custom_reference_,
               run_metric_command(judge.options_.metric_command, collector.arrays()));
  }
  return judge;
}

Result<Judgement> Judge::judge(const Quantized& build) {
  const auto key = std::pair(build.prepared, quant::digest(build.recipe));
  if (const auto known = known_.find(key); known != known_.end()) {
    Judgement again = known->second;
    again.seconds = 0;
    return again;
  }
  const Stopwatch watch;
  NARROW_TRY(const ir::Graph graph, quant::apply(build.graph(*fp32_), build.recipe));
  NARROW_TRY(Judgement judgement, judge_graph(graph));
  judgement.seconds = watch.seconds();
  known_.emplace(key, judgement);
  return judgement;
}

Status Judge::ask_gates(const verify::Measured& measured, const verify::SequentialBuild* in_order,
                        Judgement& judgement) const {
  judgement.holds = true;
  const verify::Proof proof = in_order != nullptr ? verify::Proof::point : options_.proof;
  for (size_t i = 0; i < options_.gates.size(); ++i) {
    NARROW_TRY(verify::GateResult result,
               verify::check_gate(options_.gates[i], judgement.figures, measured, proof, options_.level));
    if (in_order != nullptr) result = in_order->result(i, std::move(result), verify::kSequentialError);
    judgement.holds = judgement.holds && result.verdict == verify::GateResult::Verdict::passed;
    judgement.slack.push_back(slack_of(result));
    judgement.gates.push_back(std::move(result));
  }
  return {};
}

Result<Judgement> Judge::judge_in_order(runtime::Session& build) {
  NARROW_TRY(verify::SequentialBuild in_order,
             verify::SequentialBuild::create(options_.gates, std::ssize(options_.units), options_.seed));
  const auto known = [&](size_t samples) { return std::span(answers_->scores()).first(samples); };
  NARROW_TRY(const std::vector<verify::SampleScore> scores,
             answers_->score_until(build, [&](std::span<const verify::SampleScore> so_far) {
               in_order.add(so_far, known(so_far.size()));
               return in_order.decided(verify::kSequentialError);
             }));
  Judgement judgement;
  judgement.figures = verify::make_figures(scores, known(scores.size()), options_.seed);
  NARROW_DO(ask_gates({}, &in_order, judgement));
  return judgement;
}

Result<Judgement> Judge::judge_graph(const ir::Graph& graph) {
  const Stopwatch watch;
  NARROW_TRY(runtime::Session session, runtime::Session::create(graph, pool_));
  Judgement judgement;
  if (options_.proof == verify::Proof::sequential) {
    NARROW_TRY(judgement, judge_in_order(session));
    judgement.seconds = watch.seconds();
    return judgement;
  }
  OutputCollector collector;
  const bool custom = !options_.metric_command.empty();
  NARROW_TRY(const std::vector<verify::SampleScore> scores,
             answers_->score(session, custom ? sink_into(collector) : verify::OutputSink{}));
  judgement.figures = verify::make_figures(scores, answers_->scores(), options_.seed);
  verify::Measured measured;
  if (custom) {
    NARROW_TRY(judgement.custom_metric, run_metric_command(options_.metric_command, collector.arrays()));
  }
  measured.custom = judgement.custom_metric;
  measured.custom_reference = custom_reference_;
  NARROW_DO(ask_gates(measured, nullptr, judgement));
  judgement.seconds = watch.seconds();
  return judgement;
}

}  // namespace narrow::pipeline
