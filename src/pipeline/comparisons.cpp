#include "pipeline/comparisons.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "verify/multiple.h"

namespace narrow::pipeline {
namespace {

constexpr double kError = 0.025;  // one-sided, that of a 95% interval

/// The largest p of the gates that have one; nothing when none has.
std::optional<double> p_of(const verify::Figures& figures, const std::vector<verify::Gate>& gates) {
  std::optional<double> most;
  for (const verify::Gate& gate : gates) {
    if (!figures.by_name.contains(gate.metric)) continue;
    const auto result = verify::check_gate(gate, figures, {}, verify::Proof::point);
    if (result.ok() && result->p) most = std::max(most.value_or(0), *result->p);
  }
  return most;
}

std::string with_levels(const Comparisons& c, int64_t samples) {
  std::string levels;
  for (const auto& [name, level] : c.levels)
    levels += fmt::format("{}{} {:.2f}%", levels.empty() ? "" : ", ", name, 100 * level);
  return fmt::format(
      "{} builds were tried on the same {} samples: intervals are as wide as Holm's step-down asks, so that "
      "any "
      "of them passes wrongly at most once in {:.0f} times ({}).",
      c.tried, samples, 1 / kError, levels);
}

/// The largest deviation of a sample's figure in the builds that can be chosen, those whose measured value
/// passes.
double deviation_of(const std::vector<TriedBuild>& builds, const verify::Gate& gate) {
  double deviation = 0;
  for (const TriedBuild& build : builds) {
    const auto found = build.figures->by_name.find(gate.metric);
    if (found == build.figures->by_name.end()) continue;
    const auto result = verify::check_gate(gate, *build.figures, {}, verify::Proof::point);
    if (result.ok() && result->verdict == verify::GateResult::Verdict::passed)
      deviation = std::max(deviation, found->second.sample_deviation);
  }
  return deviation;
}

/// Of the first gate whose figure has a deviation.
std::string with_bias(const Comparisons& c, const std::vector<TriedBuild>& builds,
                      const std::vector<verify::Gate>& gates, int64_t samples) {
  for (const verify::Gate& gate : gates) {
    const double bias = verify::selection_bias(deviation_of(builds, gate), samples, c.tried);
    if (!(bias > 0)) continue;
    const std::string unit = verify::unit_of(gate.metric);
    return fmt::format(
        "{} builds were tried on the same {} samples and judged by measured values: the best of them "
        "flatters "
        "itself, in {} by up to {:.2g}{} on the average. That is not corrected; --proof ci corrects it.",
        c.tried, samples, gate.metric, bias,
        unit.empty()  ? ""
        : unit == "%" ? " pp"
                      : " " + unit);
  }
  return fmt::format(
      "{} builds were tried on the same {} samples and judged by measured values. That is not corrected; "
      "--proof "
      "ci corrects it.",
      c.tried, samples);
}

}  // namespace

double Comparisons::level_of(const std::string& build) const {
  const auto found = levels.find(build);
  return found == levels.end() ? 0.95 : found->second;
}

Comparisons compare_tried(const std::vector<TriedBuild>& builds, const std::vector<verify::Gate>& gates,
                          verify::Proof proof, int64_t tried) {
  Comparisons c{.tried = tried, .proof = proof, .levels = {}, .sentence = {}};
  std::vector<double> p;
  std::vector<std::string> names;
  for (const TriedBuild& build : builds)
    if (const auto its = p_of(*build.figures, gates)) p.push_back(*its), names.push_back(build.name);
  if (p.empty() || tried < 2) return c;
  const int64_t samples = builds.front().figures->samples;
  if (proof == verify::Proof::point) {
    c.sentence = with_bias(c, builds, gates, samples);
    return c;
  }
  const int64_t given_up = std::max<int64_t>(0, tried - static_cast<int64_t>(p.size()));
  const std::vector<int64_t> divisors = verify::holm_divisors(p, given_up, kError);
  for (size_t i = 0; i < p.size(); ++i)
    c.levels[names[i]] = 1 - 2 * kError / static_cast<double>(divisors[i]);
  c.sentence = with_levels(c, samples);
  return c;
}

Json to_json(const Comparisons& c) {
  Json json = {{"tried", c.tried}, {"corrected", !c.levels.empty()}, {"sentence", c.sentence}};
  if (!c.levels.empty()) json["method"] = "Holm", json["levels"] = c.levels;
  return json;
}

}  // namespace narrow::pipeline
