#include "pipeline/build_stages.h"

#include "pipeline/findings.h"
#include "pipeline/metric_command.h"
#include "verify/evaluate.h"

namespace narrow::pipeline {
namespace {

Result<verify::Evaluation> score(BuildState& s, const std::vector<verify::Contestant>& builds, bool first,
                                 const verify::OutputSink& sink) {
  if (!s.proof || builds.empty())
    return verify::evaluate(s.reference(), builds, *s.eval, *s.pool, s.progress, sink);
  if (!first) return s.proof->prove_mix(s.reference(), builds, *s.pool, s.progress);
  s.proof->expect(std::ssize(builds), seeks_mix(s));
  return s.proof->prove(s.reference(), builds, *s.pool, s.progress);
}

}  // namespace

verify::Figures figures_of(const BuildState& s, size_t k, int64_t samples) {
  const auto n = static_cast<size_t>(samples);
  return verify::make_figures(std::span(s.scores.builds[k]).first(n), std::span(s.scores.reference).first(n),
                              s.options.seed);
}

Status score_from(BuildState& s, size_t first) {
  if (!s.eval) return {};
  std::vector<verify::Contestant> contestants;
  for (size_t i = std::max<size_t>(first, 1); i < s.variants.size(); ++i)
    contestants.push_back({s.variants[i].name, s.variants[i].session.get()});
  std::vector<OutputCollector> collectors(contestants.size() + 1);
  verify::OutputSink sink;
  if (!s.options.metric_command.empty())
    sink = [&](size_t i, const data::Batch& batch, const TensorMap& outputs) {
      return collectors[i].add(batch, outputs);
    };
  NARROW_TRY(s.scores, score(s, contestants, first == 0, sink));
  s.tried += static_cast<int64_t>(contestants.size());
  if (first == 0)
    s.result.builds[0].figures = verify::make_figures(s.scores.reference, s.scores.reference, s.options.seed);
  for (size_t k = 0; k < contestants.size(); ++k)
    s.result.builds[s.variants.size() - contestants.size() + k].figures =
        figures_of(s, k, std::ssize(s.scores.builds[k]));
  if (s.options.metric_command.empty()) return {};
  for (size_t k = first == 0 ? 0 : 1; k <= contestants.size(); ++k) {
    Build& build =
        k == 0 ? s.result.builds[0] : s.result.builds[s.variants.size() - contestants.size() + k - 1];
    NARROW_TRY(build.custom_metric, run_metric_command(s.options.metric_command, collectors[k].arrays()));
  }
  return {};
}

Status compare_layers_of(BuildState& s, size_t index) {
  runtime::SessionOptions options;
  options.observe_all = true;
  const Variant& variant = s.variants[index];
  NARROW_TRY(runtime::Session observed, runtime::Session::create(s.answers_of(variant), s.pool, options));
  Build& build = s.result.builds[index];
  NARROW_TRY(build.layers, verify::compare_layers(observed, *variant.session, s.layer_data(),
                                                  s.options.layer_samples, *s.pool, s.progress));
  const std::vector<std::string> found = verify::findings(build.layers);
  build.findings.insert(build.findings.end(), found.begin(), found.end());
  // Overflows are among the recipe's notes already.
  for (const auto& ranges : {mixed_ranges(s.graph_of(variant), build.recipe, s.profile_of(variant)),
                             masked_ranges(s.graph_of(variant), build.recipe, s.profile_of(variant))})
    for (const Finding& finding : ranges) build.findings.push_back(finding.text);
  return {};
}

Status compare_layers(BuildState& s) {
  for (size_t i = 1; i < s.variants.size(); ++i) NARROW_DO(compare_layers_of(s, i));
  return {};
}

}  // namespace narrow::pipeline
