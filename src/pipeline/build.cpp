#include "pipeline/build.h"

#include "base/file.h"
#include "base/json_text.h"
#include "pipeline/build_stages.h"
#include "pipeline/manifest.h"
#include "report/report.h"

namespace narrow::pipeline {
namespace {

Status write_results(BuildState& s) {
  s.result.manifest = make_manifest(s.options, s.result, s.model.graph, s.pool->threads());
  NARROW_DO(write_file(s.folder / "manifest.json", json_text(s.result.manifest, 2) + "\n"));
  return write_file(s.folder / "report.html", reports::make_report(s.result.manifest, s.profile));
}

}  // namespace

bool BuildResult::gates_passed() const {
  if (decision.chosen.empty()) return false;
  // FP32 alone passing is no pass: a narrower build was asked for.
  for (const Verdict& verdict : decision.verdicts)
    if (verdict.passes && verdict.name != "fp32") return true;
  return builds.size() == 1;
}

bool BuildResult::inconclusive() const {
  for (const Build& build : builds)
    for (const verify::GateResult& gate : build.gates)
      if (gate.verdict == verify::GateResult::Verdict::inconclusive) return true;
  return false;
}

Result<BuildResult> build(const BuildOptions& options, const Progress& progress) {
  NARROW_TRY(StagedFolder folder, StagedFolder::create(options.out));
  BuildState s{
      .options = options, .progress = progress, .pool = std::make_shared<ThreadPool>(options.threads)};
  s.folder = folder.path();
  NARROW_DO(open_inputs(s));
  NARROW_DO(calibrate_inputs(s));
  NARROW_DO(make_builds(s));
  NARROW_DO(score_from(s, 0));
  NARROW_DO(compare_layers(s));
  NARROW_DO(add_mix(s));
  NARROW_DO(time_builds(s));
  NARROW_DO(choose_build(s));
  NARROW_DO(profile_chosen(s));
  NARROW_DO(write_results(s));
  NARROW_DO(folder.commit());
  return std::move(s.result);
}

}  // namespace narrow::pipeline
