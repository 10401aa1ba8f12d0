#include "pipeline/pruning.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "calib/calibrate.h"
#include "quant/prune_layers.h"

namespace narrow::pipeline {
namespace {

quant::PruneOptions options_of(const quant::MethodUse& use, const QuantizeOptions& options) {
  const auto whole = [&](const char* name) { return static_cast<int64_t>(use.settings.at(name)); };
  quant::PruneOptions prune;
  prune.pattern = {
      .sparsity = use.settings.at("sparsity"), .block = whole("block"), .n = whole("n"), .m = whole("m")};
  prune.by_loss = use.settings.at("loss") != 0;
  prune.compensate = use.settings.at("compensate") != 0;
  prune.fewest = whole("fewest");
  prune.damping = use.settings.at("damping");
  prune.walk.samples = whole("samples");
  if (options.memory > 0) prune.walk.memory = options.memory;
  return prune;
}

/// By loss where the data allow it, else by magnitude, and a note says why.
Result<quant::PruneReport> prune_graph(ir::Graph& graph, const QuantizeInput& input,
                                       quant::PruneOptions& prune, const std::shared_ptr<ThreadPool>& pool,
                                       std::vector<std::string>& notes, const Progress& progress) {
  std::string obstacle =
      prune.wants_data() && input.dataset == nullptr ? "it needs calibration data (--data)" : "";
  if (obstacle.empty()) {
    auto report = quant::prune(graph, input.dataset, pool, prune, progress);
    if (report.ok() || report.error().code != Code::unsupported) return report;
    obstacle = report.error().message();
  }
  notes.push_back("weights are pruned by magnitude, not by the loss of their absence: " + obstacle);
  prune.by_loss = prune.compensate = false;
  return quant::prune(graph, nullptr, pool, prune, progress);
}

/// What pruning costs, in words.
Status note_cost(const QuantizeInput& input, quant::Precision precision, const QuantizeOptions& options,
                 const std::shared_ptr<ThreadPool>& pool, const std::shared_ptr<const Prepared>& dense,
                 const std::shared_ptr<const Prepared>& pruned, bool fitted,
                 std::vector<std::string>& notes) {
  if (input.dataset == nullptr || input.profile == nullptr) return {};
  JudgeOptions ungated;
  ungated.samples = 32;
  NARROW_TRY(Judge judge, Judge::create(input.graph, *input.dataset, ungated, pool));
  NARROW_TRY(const double before, noise_of(judge, input, precision, options.plan, dense));
  NARROW_TRY(const double after, noise_of(judge, input, precision, options.plan, pruned));
  notes.push_back(
      fmt::format("SQNR of the outputs: {:.1f} dB with all weights, {:.1f} dB with these zeros "
                  "({} calibration samples{}; weights to nearest)",
                  -10 * std::log10(before), -10 * std::log10(after), judge.samples(),
                  fitted ? " that the fit has seen: others lose more" : ""));
  return {};
}

}  // namespace

const calib::Profile* profile_of(const QuantizeInput& input,
                                 const std::shared_ptr<const Prepared>& prepared) {
  return prepared != nullptr && input.profile != nullptr ? &prepared->profile : input.profile;
}

Result<double> noise_of(Judge& judge, const QuantizeInput& input, quant::Precision precision,
                        const quant::PlanOptions& options, std::shared_ptr<const Prepared> prepared) {
  Quantized build{{}, std::move(prepared)};
  NARROW_TRY(build.recipe, quant::plan(build.graph(input.graph), profile_of(input, build.prepared), precision,
                                       options, {}));
  NARROW_TRY(const Judgement judgement, judge.judge(build));
  return judgement.noise();
}

Status run_prune(const QuantizeInput& input, quant::Precision precision, const QuantizeOptions& options,
                 const std::shared_ptr<ThreadPool>& pool, std::shared_ptr<const Prepared>& prepared,
                 std::vector<std::string>& notes, const Progress& progress) {
  const auto use = std::find_if(options.methods.begin(), options.methods.end(),
                                [](const quant::MethodUse& m) { return m.method == quant::Method::prune; });
  if (use == options.methods.end() || precision == quant::Precision::fp32) return {};
  quant::PruneOptions prune = options_of(*use, options);
  const ir::Graph& whole = prepared != nullptr ? prepared->graph : input.graph;
  auto pruned = std::make_shared<Prepared>(Prepared{whole.clone(), {}});
  NARROW_TRY(const quant::PruneReport report,
             prune_graph(pruned->graph, input, prune, pool, notes, progress));
  notes.push_back(report.note(prune));
  if (report.layers.empty()) return {};
  for (const quant::PrunedLayer& layer : report.layers) pruned->pruned[layer.key] = layer.counts;
  pruned->dense = std::make_shared<const ir::Graph>(whole.clone());
  if (input.profile != nullptr) {
    const calib::Profile& known = *profile_of(input, prepared);
    pruned->profile = known;
    if (input.dataset != nullptr) {
      NARROW_TRY(pruned->profile,
                 calib::calibrate(pruned->graph, known.model_hash, *input.dataset, pool,
                                  {.samples = known.samples, .memory = options.memory}, progress));
      pruned->profile.methods = known.methods;
    }
  }
  NARROW_DO(note_cost(input, precision, options, pool, prepared, pruned, prune.wants_data(), notes));
  prepared = std::move(pruned);
  return {};
}

}  // namespace narrow::pipeline
