#include "pipeline/manifest.h"

#include "quant/regions.h"

namespace narrow::pipeline {
namespace {

Json options_json(const BuildOptions& options) {
  Json gates = Json::array(), precisions = Json::array();
  for (const verify::Gate& gate : options.gates) gates.push_back(gate.text);
  for (const quant::Precision p : options.precisions) precisions.push_back(to_string(p));
  return {{"precisions", precisions},
          {"gates", gates},
          {"objective", to_string(options.objective)},
          {"proof", to_string(options.proof)},
          {"batch", options.batch},
          {"seed", options.seed},
          {"calibration", to_string(options.ranges.method)},
          {"percentile", options.ranges.percentile},
          {"metric_command", options.metric_command},
          {"wide", options.wide}};
}

/// The steps and the kernel of each; why not another kernel says `narrow explain`.
Json plan_json(const runtime::PlanInfo& plan) {
  Json steps = Json::array();
  for (const runtime::StepChoice& step : plan.steps) {
    const std::string& name = step.node.empty() && !step.outputs.empty() ? step.outputs.front() : step.node;
    Json json = {{"node", name}, {"op", step.op}, {"kernel", step.kernel}, {"formats", step.formats}};
    if (step.emulated) json["emulated"] = true;
    steps.push_back(std::move(json));
  }
  return {{"steps", std::move(steps)}, {"arena_lower_bound", plan.arena_lower_bound}};
}

/// Of `narrow profile --json` what does not follow from the rest.
Json profile_json(const bench::Profile& profile) {
  Json steps = Json::array();
  for (const bench::StepProfile& step : profile.steps)
    steps.push_back({{"node", step.name()},
                     {"op", step.choice.op},
                     {"kernel", step.choice.kernel},
                     {"arithmetic", to_string(step.arithmetic)},
                     {"macs", step.macs},
                     {"bytes", step.bytes},
                     {"ms", step.ms}});
  return {{"run_ms", profile.run_ms},
          {"steps_ms", profile.steps_ms},
          {"repetitions", profile.repetitions},
          {"roofs", to_json(profile.roofs)},
          {"steps", std::move(steps)}};
}

/// The recipe, with the ONNX name and op of every node that has a reason to be wide.
Json recipe_json(const quant::Recipe& recipe, const ir::Graph& graph) {
  Json json = to_json(recipe);
  for (const ir::Node* node : graph.nodes()) {
    const auto choice = recipe.nodes.find(quant::key_of(*node));
    if (choice == recipe.nodes.end() || choice->second.reason.empty()) continue;
    Json& entry = json["nodes"][choice->first];
    entry["node"] = node->name;
    entry["op"] = to_string(node->op());
  }
  return json;
}

Json build_json(const Build& build, const ir::Graph& graph) {
  Json gates = Json::array();
  for (const verify::GateResult& gate : build.gates) gates.push_back(to_json(gate));
  Json json = {{"name", build.name},
               {"files", {{"narrow", build.name + ".narrow"}, {"onnx", build.name + ".onnx"}}},
               {"bytes", build.file_bytes},
               {"onnx_bytes", build.onnx_bytes},
               {"ledger", to_json(build.ledger)},
               {"figures", to_json(build.figures)},
               {"gates", gates},
               {"speed", bench::to_json(build.record)},
               {"findings", build.findings},
               {"layers", to_json(build.layers)},
               {"plan", plan_json(build.plan)},
               {"recipe", recipe_json(build.recipe, graph)}};
  if (build.profile) json["profile"] = profile_json(*build.profile);
  if (build.custom_metric) json["metric"] = *build.custom_metric;
  return json;
}

}  // namespace

Json make_manifest(const BuildOptions& options, const BuildResult& result, const ir::Graph& graph,
                   int threads) {
  Json builds = Json::array(), passes = Json::array();
  for (const Build& build : result.builds) builds.push_back(build_json(build, graph));
  for (const passes::PassRecord& pass : result.passes)
    if (pass.changes > 0) passes.push_back({{"pass", pass.name}, {"changes", pass.changes}});
  Json manifest = {{"tool", "narrow 0.1.0"},
                   {"model",
                    {{"file", options.model.filename().string()},
                     {"hash", result.model_hash},
                     {"nodes", result.summary.nodes},
                     {"layers", result.summary.layers},
                     {"parameters", result.summary.parameters},
                     {"macs", result.summary.macs}}},
                   {"calibration", {{"hash", result.calib_hash}, {"samples", result.calib_samples}}},
                   {"evaluation",
                    {{"hash", result.eval_hash},
                     {"samples", result.builds.empty() ? 0 : result.builds.front().figures.samples}}},
                   {"options", options_json(options)},
                   {"machine", bench::environment(threads)},
                   {"optimized", passes},
                   {"builds", builds},
                   {"skipped", result.skipped},
                   {"mix", result.mix},
                   {"comparisons", to_json(result.comparisons)},
                   {"decision", to_json(result.decision)}};
  if (!result.taken.empty()) manifest["sequential"] = to_json(result.taken);
  if (result.given_pairs.total > 0) manifest["given_pairs"] = to_json(result.given_pairs);
  return manifest;
}

}  // namespace narrow::pipeline
