#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <optional>

#include "cli/command.h"
#include "cli/table.h"
#include "data/dataset.h"
#include "pipeline/metric_command.h"
#include "pipeline/model.h"
#include "verify/evaluate.h"
#include "verify/hazards.h"
#include "verify/layers.h"
#include "verify/power.h"
#include "verify/rescaled.h"
#include "verify/sequential_builds.h"

namespace narrow::cli {
namespace {

struct Options {
  Common common;
  std::string artifact, reference, data, proof = "point", metric_command, tolerance;
  std::vector<std::string> gates;
  int64_t layer_samples = 4;
};

std::string figures_text(const verify::Figures& figures) {
  std::vector<std::vector<std::string>> rows;
  for (const auto& [name, f] : figures.by_name) {
    const std::string unit = verify::unit_of(name);
    rows.push_back({name, fmt::format("{:.4f}{}", f.value, unit.empty() ? "" : " " + unit),
                    fmt::format("{:.4f} … {:.4f}", f.interval.low, f.interval.high),
                    f.reference ? fmt::format("{:.4f}", *f.reference) : "",
                    f.reference ? fmt::format("{:+.4f} ({:+.4f} … {:+.4f})", f.change, f.change_interval.low,
                                              f.change_interval.high)
                                : ""});
  }
  std::string text = fmt::format("{} samples\n", figures.samples) +
                     table({"figure", "value", "95% interval", "fp32", "change (95% interval)"}, rows,
                           {false, true, true, true, true});
  if (figures.by_name.contains("top1")) text += fmt::format("McNemar p = {:.3f}\n", figures.mcnemar_p);
  return text;
}

std::string layers_text(std::vector<verify::LayerReport> layers) {
  std::erase_if(layers, [](const verify::LayerReport& l) { return !l.computes; });
  std::stable_sort(layers.begin(), layers.end(), [](const auto& a, const auto& b) {
    return a.isolated.distortion.sqnr_db() < b.isolated.distortion.sqnr_db();
  });
  if (layers.size() > 8) layers.resize(8);
  std::vector<std::vector<std::string>> rows;
  for (const verify::LayerReport& l : layers)
    rows.push_back({l.node, l.op, l.format, fmt::format("{:.1f}", l.isolated.distortion.sqnr_db()),
                    fmt::format("{:.1f}", l.accumulated.distortion.sqnr_db()),
                    fmt::format("{:.4f}", l.accumulated.distortion.cosine()),
                    fmt::format("{:.2f}%", 100 * l.accumulated.saturated_share())});
  return "\nworst layers alone\n" +
         table({"node", "op", "format", "alone dB", "deployed dB", "cosine", "saturated"}, rows,
               {false, false, false, true, true, true, true});
}

Result<verify::Measured> measured_for(const Options& o,
                                      const std::vector<pipeline::OutputCollector>& collectors) {
  verify::Measured measured;
  std::error_code error;
  const auto mine = std::filesystem::file_size(o.artifact, error),
             theirs = std::filesystem::file_size(o.reference, error);
  if (!error && theirs > 0) measured.size_ratio = static_cast<double>(mine) / static_cast<double>(theirs);
  if (o.metric_command.empty()) return measured;
  NARROW_TRY(measured.custom_reference,
             pipeline::run_metric_command(o.metric_command, collectors[0].arrays()));
  NARROW_TRY(measured.custom, pipeline::run_metric_command(o.metric_command, collectors[1].arrays()));
  return measured;
}

/// "top1.drop 0.25 pp <= 1 pp, p = 0.012".
std::string with_p(const verify::GateResult& result) {
  return result.p ? fmt::format("{}, p = {:.2g}", result.reason, *result.p) : result.reason;
}

Result<verify::Proof> proof_of(const Options& o) {
  const auto proof = verify::parse_proof(o.proof);
  if (proof) return *proof;
  return Error{.code = Code::usage,
               .subject = "--proof",
               .expected = "point, ci or sequential",
               .got = "'" + o.proof + "'"};
}

/// Gates looked at after every sample; of --proof sequential.
Result<verify::SequentialBuild> sequential_of(const std::vector<verify::Gate>& gates,
                                              const data::Dataset& dataset, uint64_t seed) {
  if (!dataset.info().states.empty())
    return Error{.code = Code::usage,
                 .subject = "--proof sequential",
                 .expected = "samples that do not depend on each other",
                 .got = "a sequence (states in the dataset)",
                 .hint = "--proof ci decides on all of them"};
  return verify::SequentialBuild::create(gates, dataset.size() / dataset.batch_of(1), seed);
}

Result<int> run(const Options& o) {
  NARROW_TRY(const std::vector<verify::Gate> gates, parse_gates(o.gates));
  NARROW_TRY(const verify::Proof proof, proof_of(o));
  double tolerance = 0;
  if (!o.tolerance.empty()) {
    NARROW_TRY(tolerance, verify::parse_tolerance(o.tolerance));
  }
  auto pool = std::make_shared<ThreadPool>(o.common.threads);
  NARROW_TRY(runtime::Session build, runtime::Session::open(o.artifact, pool));
  NARROW_TRY(const pipeline::Original original, pipeline::load_original(o.reference));
  const pipeline::Model& model = original.model;
  NARROW_TRY(runtime::Session reference, runtime::Session::create(model.graph, pool));
  NARROW_TRY(const auto dataset,
             data::open_dataset(o.data, verify::input_specs(ir::interface_of(model.graph))));
  const std::vector<ir::Port>& made = build.interface().outputs;
  for (const ir::Port& output : reference.interface().outputs)
    if (std::none_of(made.begin(), made.end(), [&](const ir::Port& b) { return b.name == output.name; }))
      return Error{.code = Code::invalid_argument,
                   .subject = o.artifact,
                   .expected = "the outputs of " + o.reference,
                   .got = "no output '" + output.name + "'",
                   .hint = "is it a build of this model?"};
  std::vector<pipeline::OutputCollector> collectors(2);
  verify::OutputSink sink;
  if (!o.metric_command.empty())
    sink = [&](size_t i, const data::Batch& batch, const TensorMap& outputs) {
      return collectors[i].add(batch, outputs);
    };
  std::optional<verify::SequentialBuild> sequential;
  verify::EvaluationOrder order;
  if (proof == verify::Proof::sequential) {
    NARROW_TRY(sequential, sequential_of(gates, *dataset, o.common.seed));
    order.units = verify::random_units(*dataset, o.common.seed);
    order.enough = [&](const verify::Evaluation& so_far) {
      sequential->add(so_far.builds[0], so_far.reference);
      return sequential->decided(verify::kSequentialError);
    };
  }
  NARROW_TRY(const verify::Evaluation evaluation,
             verify::evaluate(reference, {{o.artifact, &build}}, *dataset, *pool, make_progress(o.common),
                              sink, order));
  const verify::Figures figures =
      verify::make_figures(evaluation.builds[0], evaluation.reference, o.common.seed);
  NARROW_TRY(const verify::Measured measured, measured_for(o, collectors));
  int code = kDone;
  Json gate_json = Json::array();
  std::string gate_text;
  for (size_t i = 0; i < gates.size(); ++i) {
    const verify::Gate& gate = gates[i];
    // What samples decided one by one is decided; gates about the file are measured.
    NARROW_TRY(verify::GateResult checked,
               verify::check_gate(gate, figures, measured,
                                  proof == verify::Proof::ci ? proof : verify::Proof::point));
    const verify::GateResult result =
        sequential ? sequential->result(i, std::move(checked), verify::kSequentialError) : std::move(checked);
    gate_json.push_back(to_json(result));
    const bool failed = result.verdict == verify::GateResult::Verdict::failed,
               open = result.verdict == verify::GateResult::Verdict::inconclusive;
    gate_text += fmt::format("gate {}: {} ({})\n", gate.text,
                             failed ? "FAILED"
                             : open ? "inconclusive"
                                    : "passed",
                             with_p(result));
    if (result.more_samples > 0)
      gate_text += fmt::format("  about {} more samples would settle it\n", result.more_samples);
    if (failed)
      code = kGateFailed;
    else if (open && code == kDone)
      code = kInconclusive;
  }
  runtime::SessionOptions observe;
  observe.observe_all = true;
  NARROW_TRY(runtime::Session observed, runtime::Session::create(model.graph, pool, observe));
  NARROW_TRY(const ir::Graph* portable, build.graph());
  const std::set<std::string> rescaled = verify::rescaled_of(*portable);
  NARROW_TRY(const std::vector<verify::LayerReport> layers,
             verify::compare_layers(observed, build, *dataset, o.layer_samples, *pool,
                                    make_progress(o.common), rescaled));
  std::vector<std::string> findings = verify::findings(layers);
  const std::vector<std::string> hazards = verify::hazards(*portable, layers);
  findings.insert(findings.end(), hazards.begin(), hazards.end());
  std::string text = figures_text(figures) + layers_text(layers) + "\n";
  if (!rescaled.empty())
    text += fmt::format("channels of {} values have other scales in the build: FP32's were scaled alike\n",
                        rescaled.size());
  for (const std::string& finding : findings) text += "finding: " + finding + "\n";
  if (measured.custom)
    text +=
        fmt::format("metric {:.6g} (fp32 {:.6g})\n", *measured.custom, measured.custom_reference.value_or(0));
  if (tolerance > 0) text += text_of(verify::plan_samples(figures, tolerance));
  if (proof == verify::Proof::sequential)
    text += fmt::format("{} of {} samples were taken, in random order; {} were not needed\n", figures.samples,
                        dataset->size(), dataset->size() - figures.samples);
  print_text(o.common, text + gate_text);
  Json json = {{"artifact", o.artifact},      {"reference", o.reference},  {"data", o.data},
               {"figures", to_json(figures)}, {"gates", gate_json},        {"passed", code == kDone},
               {"findings", findings},        {"layers", to_json(layers)}, {"rescaled", rescaled}};
  if (measured.custom) json["metric"] = *measured.custom;
  if (tolerance > 0) json["plan"] = to_json(verify::plan_samples(figures, tolerance));
  if (proof == verify::Proof::sequential)
    json["sequential"] = {{"samples", figures.samples}, {"spared", dataset->size() - figures.samples}};
  print_json(o.common, json);
  return code;
}

}  // namespace

Command add_verify(CLI::App& root) {
  auto o = std::make_shared<Options>();
  CLI::App* app = root.add_subcommand("verify", "compare an artifact with its FP32 model");
  app->description(
      "Compares ARTIFACT with the FP32 model on a data set: end to end with intervals and paired tests, and "
      "layer by layer,\neach alone and as deployed. Gates decide the exit code.");
  app->add_option("ARTIFACT", o->artifact, ".narrow (or .onnx) file to judge")->required();
  app->add_option("--reference", o->reference, "the FP32 .onnx file")->required();
  app->add_option("--data", o->data, "inputs (with labels) to judge on")->required();
  app->add_option("--gate", o->gates, "METRIC[.drop|.rise] OP VALUE[UNIT], repeatable")
      ->expected(1)
      ->allow_extra_args(false)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  app->add_option(
      "--proof", o->proof,
      "point (default); ci: the whole 95% interval must pass; sequential: the same, looked at after "
      "every sample, and no more are taken once it is decided");
  app->add_option("--tolerance", o->tolerance,
                  "a drop, as 0.5pp: how many samples would show that this build's is smaller");
  app->add_option(
      "--metric-cmd", o->metric_command,
      "program that reads the outputs (an .npz, its argument) and prints one number: gate it as `metric`");
  app->add_option("--layer-samples", o->layer_samples, "samples for the per-layer figures (default 4)")
      ->check(CLI::Range(1, 1024));
  add_common(*app, o->common);
  return {app, [o] { return run(*o); }};
}

}  // namespace narrow::cli
