#include "pipeline/build_stages.h"

#include <fmt/format.h>

#include <algorithm>

namespace narrow::pipeline {
using quant::Precision;

namespace {

void compare_tried_builds(BuildState& s) {
  std::vector<TriedBuild> tried;
  for (size_t i = 1; i < s.result.builds.size(); ++i)
    tried.push_back({s.result.builds[i].name, &s.result.builds[i].figures});
  s.result.comparisons =
      s.proof ? s.proof->comparisons() : compare_tried(tried, s.options.gates, s.options.proof, s.tried);
  if (s.proof) s.result.taken = s.proof->taken();
}

/// "worst: conv_dw_1 (11 dB alone)".
std::string worst_layer(const Build& build) {
  const verify::LayerReport* worst = nullptr;
  for (const verify::LayerReport& layer : build.layers)
    if (layer.computes &&
        (worst == nullptr || layer.isolated.distortion.sqnr_db() < worst->isolated.distortion.sqnr_db()))
      worst = &layer;
  return worst == nullptr
             ? ""
             : fmt::format("worst: {} ({:.0f} dB alone)", worst->node, worst->isolated.distortion.sqnr_db());
}

/// FP32 is what drops are measured from; ratios to itself say nothing.
bool applies(const verify::Gate& gate, const Build& build) {
  return build.precision != Precision::fp32 || (gate.metric != "size" && gate.metric != "speedup");
}

verify::Measured measured_of(const Build& build, const Build& fp32) {
  return {.p50_ms = build.record.median_ms,
          .p90_ms = build.record.p90_ms,
          .p99_ms = build.record.p99_ms,
          .size_ratio = static_cast<double>(build.file_bytes) / static_cast<double>(fp32.file_bytes),
          .speedup = fp32.record.median_ms / build.record.median_ms,
          .custom = build.custom_metric,
          .custom_reference = fp32.custom_metric};
}

/// What is decided about a build, its gates judged.
Result<Option> option_of(BuildState& s, Build& build) {
  Option option{.name = build.name,
                .is_reference = build.precision == Precision::fp32,
                .p50_ms = build.record.median_ms,
                .throughput = build.record.throughput,
                .bytes = build.file_bytes,
                .failed_gates = {},
                .inconclusive_gates = {},
                .note = {}};
  const verify::Measured measured = measured_of(build, s.result.builds.front());
  for (size_t g = 0; g < s.options.gates.size(); ++g) {
    const verify::Gate& gate = s.options.gates[g];
    if (!applies(gate, build)) continue;
    NARROW_TRY(verify::GateResult result, verify::check_gate(gate, build.figures, measured, s.options.proof,
                                                             s.result.comparisons.level_of(build.name)));
    if (s.proof) result = s.proof->result(build.name, g, std::move(result));
    if (result.verdict == verify::GateResult::Verdict::failed) option.failed_gates.push_back(result.reason);
    if (result.verdict == verify::GateResult::Verdict::inconclusive)
      option.inconclusive_gates.push_back(result.reason);
    build.gates.push_back(std::move(result));
  }
  if (!option.failed_gates.empty()) option.note = worst_layer(build);
  return option;
}

}  // namespace

Status choose_build(BuildState& s) {
  compare_tried_builds(s);
  std::vector<Option> options;
  for (Build& build : s.result.builds) {
    NARROW_TRY(Option option, option_of(s, build));
    options.push_back(std::move(option));
  }
  s.result.decision = decide(options, s.options.objective);
  if (!s.wants(Precision::fp32)) remove_files(s, "fp32");
  return {};
}

}  // namespace narrow::pipeline
