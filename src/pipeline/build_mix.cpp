#include "pipeline/build_stages.h"

#include <fmt/format.h>

#include <algorithm>

#include "pipeline/build_mixed.h"
#include "pipeline/judge.h"

namespace narrow::pipeline {
using quant::Precision;

namespace {

/// While it is not known how many builds will be tried: as if those so far were all, each corrected for
/// them.
double level_so_far(const BuildState& s) {
  return 1 - 0.05 / static_cast<double>(std::max<int64_t>(1, s.tried));
}

/// What the search for a mix may know of a build that was scored as number `k`: how it does on the samples
/// of the search.
Status show_to_search(const BuildState& s, size_t k, Build& build, std::optional<bool>& holds) {
  const int64_t samples = std::min(std::ssize(s.scores.builds[k]), s.proof->search_samples());
  if (samples > 0) build.figures = figures_of(s, k, samples);
  NARROW_TRY(holds, s.proof->holds_in_search(s.scores.builds[k], s.scores.reference));
  return {};
}

Result<Judge> judge_of_mixes(BuildState& s) {
  JudgeOptions judge{.gates = s.options.gates,
                     .proof = s.options.proof,
                     .level = level_so_far(s),
                     .seed = s.options.seed,
                     .metric_command = s.options.metric_command,
                     .samples = 0,
                     .units = {}};
  if (s.proof) judge.units = s.proof->search_units();
  return Judge::create(s.model.graph, *s.eval, std::move(judge), s.pool, s.progress);
}

Result<MixFound> search_for_mix(BuildState& s) {
  NARROW_TRY(Judge judge, judge_of_mixes(s));
  NARROW_DO(repeat_inputs(s));
  MixRequest request{.options = s.options,
                     .original = s.model.graph,
                     .profile = s.profile,
                     .calib = *s.calib,
                     .shapes = s.shapes,
                     .timed_inputs = s.timed_inputs,
                     .pinned = s.wide,
                     .quantize = quantize_options(s),
                     .builds = {},
                     .about = fmt::format("model {}; calibration {}; evaluation {}", s.model.hash,
                                          s.result.calib_hash, s.result.eval_hash)};
  std::vector<Build> shown;
  if (s.proof) shown = s.result.builds;
  for (size_t i = 0; i < s.variants.size(); ++i) {
    request.builds.push_back({s.proof ? &shown[i] : &s.result.builds[i], &s.variants[i]});
    if (s.proof && i > 0) NARROW_DO(show_to_search(s, i - 1, shown[i], request.builds.back().holds));
  }
  return find_mix(request, judge, s.pool, s.progress);
}

/// int8 is the start of mixed; when only mixed was asked for it is not shipped.
Status drop_unwanted_int8(BuildState& s) {
  if (s.wants(Precision::int8)) return {};
  for (size_t i = 1; i < s.variants.size(); ++i)
    if (s.result.builds[i].precision == Precision::int8) {
      remove_files(s, "int8");
      s.variants.erase(s.variants.begin() + static_cast<int64_t>(i));
      s.result.builds.erase(s.result.builds.begin() + static_cast<int64_t>(i));
      break;
    }
  return {};
}

}  // namespace

bool seeks_mix(const BuildState& s) {
  return s.wants(Precision::mixed) && s.has_int8() && !s.given && s.eval && s.gates_answers();
}

Status add_mix(BuildState& s) {
  if (!s.wants(Precision::mixed) || !s.has_int8()) return {};
  if (!seeks_mix(s)) {
    s.result.skipped.emplace_back(
        s.given ? "mixed: the model brings scales of its own"
                : "mixed: no gate about answers to hold it against (--gate with --eval)");
    return drop_unwanted_int8(s);
  }
  NARROW_TRY(MixFound found, search_for_mix(s));
  s.result.mix = to_json(found);
  s.tried += std::ssize(found.trials);
  if (!found.holds) {
    for (const std::string& note : found.notes) s.result.skipped.push_back("mixed: " + note);
    return drop_unwanted_int8(s);
  }
  --s.tried;  // what is evaluated below was tried already
  found.mix.recipe.precision = Precision::mixed;
  found.mix.recipe.notes.insert(found.mix.recipe.notes.end(), found.notes.begin(), found.notes.end());
  NARROW_DO(add_variant(s, std::move(found.mix)));
  NARROW_DO(score_from(s, s.variants.size() - 1));
  NARROW_DO(compare_layers_of(s, s.variants.size() - 1));
  return drop_unwanted_int8(s);
}

}  // namespace narrow::pipeline
