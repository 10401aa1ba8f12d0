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

Result<Judgement> Judge::judge_graph(const ir::Graph& graph) const {
  const Stopwatch watch;
  NARROW_TRY(runtime::Session session, runtime::Session::create(graph, pool_));
  OutputCollector collector;
  const bool custom = !options_.metric_command.empty();
  NARROW_TRY(const std::vector<verify::SampleScore> scores,
             answers_->score(session, custom ? sink_into(collector) : verify::OutputSink{}));
  Judgement judgement;
  judgement.figures = verify::make_figures(scores, answers_->scores(), options_.seed);
  if (custom) {
    NARROW_TRY(judgement.custom_metric, run_metric_command(options_.metric_command, collector.arrays()));
  }
  verify::Measured measured;
  measured.custom = judgement.custom_metric;
  measured.custom_reference = custom_reference_;
  judgement.holds = true;
  for (const verify::Gate& gate : options_.gates) {
    NARROW_TRY(verify::GateResult result,
               verify::check_gate(gate, judgement.figures, measured, options_.proof, options_.level));
    judgement.holds = judgement.holds && result.verdict == verify::GateResult::Verdict::passed;
    judgement.slack.push_back(slack_of(result));
    judgement.gates.push_back(std::move(result));
  }
  judgement.seconds = watch.seconds();
  return judgement;
}

}  // namespace narrow::pipeline
