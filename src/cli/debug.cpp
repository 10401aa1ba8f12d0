#include "pipeline/debug.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/file.h"
#include "cli/command.h"
#include "cli/table.h"

namespace narrow::cli {
namespace {

struct Options {
  Common common;
  std::string model, calib, eval, precision = "int8", proof = "point", metric_command, method = "mse", out;
  std::vector<std::string> gates, recipe;
  double percentile = 99.99, budget = 10;
  std::optional<int64_t> group_size;
  int64_t memory = 0, layer_samples = 4;
};

Result<pipeline::DebugOptions> to_debug_options(const Options& o) {
  pipeline::DebugOptions options;
  options.model = o.model, options.calib = o.calib, options.eval = o.eval;
  NARROW_TRY(options.gates, parse_gates(o.gates));
  const auto precision = quant::parse_precision(o.precision);
  if (!precision || *precision == quant::Precision::mixed || *precision == quant::Precision::fp32)
    return Error{
        .code = Code::usage,
        .subject = "--precision",
        .expected = "bf16, fp16, int8, w4a8, int8-dynamic, int8-weights, int4, int3, int2, ternary or binary",
        .got = "'" + o.precision + "'"};
  options.precision = *precision;
  if (o.proof != "point" && o.proof != "ci")
    return Error{
        .code = Code::usage, .subject = "--proof", .expected = "point or ci", .got = "'" + o.proof + "'"};
  options.proof = o.proof == "ci" ? verify::Proof::ci : verify::Proof::point;
  options.metric_command = o.metric_command;
  NARROW_TRY(options.ranges, parse_ranges(o.method, o.percentile));
  NARROW_TRY(options.methods, parse_recipe(o.recipe));
  options.group_size = o.group_size;
  options.budget_minutes = o.budget;
  options.threads = o.common.threads;
  options.seed = o.common.seed;
  options.memory = o.memory;
  options.layer_samples = o.layer_samples;
  return options;
}

std::string start_text(const pipeline::DebugResult& r, const Options& o) {
  std::string text = fmt::format("{} on {} samples, {} layers narrower than fp32\n", o.precision, r.samples,
                                 r.narrow_layers);
  for (const verify::GateResult& gate : r.start.gates)
    text += fmt::format("gate {}: {} ({})\n", gate.gate.text,
                        gate.verdict == verify::GateResult::Verdict::passed ? "holds" : "does not hold",
                        gate.reason);
  return text + fmt::format("sqnr of the outputs: {:.1f} dB\n", r.start.sqnr_db());
}

std::string layers_text(std::vector<verify::LayerReport> layers) {
  constexpr size_t kShown = 12;
  std::erase_if(layers, [](const verify::LayerReport& l) { return !l.computes; });
  std::stable_sort(layers.begin(), layers.end(), [](const auto& a, const auto& b) {
    return a.isolated.distortion.sqnr_db() < b.isolated.distortion.sqnr_db();
  });
  const size_t all = layers.size();
  if (all > kShown) layers.resize(kShown);
  std::vector<std::vector<std::string>> rows;
  for (const verify::LayerReport& l : layers)
    rows.push_back({l.node, l.op, l.format, fmt::format("{:.1f}", l.isolated.distortion.sqnr_db()),
                    fmt::format("{:.1f}", l.accumulated.distortion.sqnr_db()),
                    fmt::format("{:.2f}%", 100 * l.accumulated.saturated_share())});
  return fmt::format("\nworst {} of {} layers alone\n", layers.size(), all) +
         table({"node", "op", "format", "alone dB", "deployed dB", "saturated"}, rows,
               {false, false, false, true, true, true});
}

std::string trials_text(const std::vector<pipeline::DebugTrial>& trials) {
  std::vector<std::vector<std::string>> rows;
  for (const pipeline::DebugTrial& t : trials) {
    std::string wide = t.wide.empty() ? "" : fmt::format("{}", fmt::join(t.wide, " "));
    constexpr size_t kNamed = 3;
    if (t.wide.size() > kNamed) wide = fmt::format("{} layers, {} ...", t.wide.size(), t.wide[0]);
    rows.push_back({t.setting, wide, t.judgement.reasons(), fmt::format("{:.1f}", t.judgement.sqnr_db()),
                    fmt::format("{:.1f}", t.seconds), t.judgement.holds ? "holds" : ""});
  }
  return "\ntried\n" + table({"ranges, methods", "wide", "gates", "sqnr dB", "s", ""}, rows,
                             {false, false, false, true, true, false});
}

std::string remedy_text(const pipeline::DebugResult& r, const Options& o) {
  if (!r.remedy) {
    if (r.start.holds) return "\nNothing to mend: every gate holds.\n";
    std::string text = r.out_of_time
                           ? fmt::format("\nNo remedy within the budget of {:g} min (--budget).", o.budget)
                           : "\nNo remedy: no setting holds, nor any set of layers that was tried.";
    if (r.culprits && !r.culprits->layers.empty())
      text += fmt::format(" Nearest came {} layers wide: {}.", r.culprit_names.size(),
                          fmt::join(r.culprit_names, ", "));
    return text + "\n";
  }
  std::string text = "\n";
  if (r.culprits)
    text += fmt::format("culprits: {}{}\n", fmt::join(r.culprit_names, ", "),
                        r.culprits->minimal   ? " (without any one of them wide the gates fail)"
                        : r.culprits->stopped ? " (the budget ended the search for fewer)"
                                              : "");
  return text + fmt::format("remedy, built and judged as below: {}\n\n{}\n\n# narrow.toml\n{}",
                            r.proof->reasons(), pipeline::command_of(*r.remedy),
                            pipeline::toml_of(*r.remedy));
}

Result<int> run(const Options& o) {
  NARROW_TRY(const pipeline::DebugOptions options, to_debug_options(o));
  NARROW_TRY(const pipeline::DebugResult r, pipeline::debug(options, make_progress(o.common)));
  std::string text = start_text(r, o) + layers_text(r.layers) + "\n";
  if (!r.start.holds && !r.blame.text.empty()) text += r.blame.text + "\n";
  for (const pipeline::Finding& f : r.findings) text += fmt::format("finding: {}: {}\n", f.kind, f.text);
  for (const std::string& note : r.notes) text += note + "\n";
  if (!r.start.holds) text += trials_text(r.trials);
  print_text(o.common, text + remedy_text(r, o));
  if (!o.out.empty() && r.remedy) {
    NARROW_DO(write_file(o.out, pipeline::toml_of(*r.remedy)));
    print_text(o.common, fmt::format("{}: narrow build --config {} --out out\n", o.out, o.out));
  }
  print_json(o.common, to_json(r, options));
  return r.start.holds || r.remedy ? kDone : kGateFailed;
}

}  // namespace

Command add_debug(CLI::App& root) {
  auto o = std::make_shared<Options>();
  CLI::App* app = root.add_subcommand("debug", "why a gate fails, and the least that mends it");
  app->description(
      "Builds MODEL in one precision in memory, asks the gates, and where one fails says which layers are at "
      "fault and\nwhether a few or the sum of all; tries calibration methods, roundings and wider layers; "
      "prints the cheapest remedy as\na command and as narrow.toml, after it has held the gates.");
  app->add_option("MODEL", o->model, "FP32 .onnx file")->required();
  app->add_option("--calib", o->calib, "representative inputs: .toml, folder, .npz or .npy")->required();
  app->add_option("--eval", o->eval, "inputs (with labels) to judge the answers on")->required();
  app->add_option("--gate", o->gates, "METRIC[.drop|.rise] OP VALUE[UNIT], repeatable; about answers")
      ->required()
      ->expected(1)
      ->allow_extra_args(false)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  app->add_option(
      "--precision", o->precision,
      "bf16, fp16, int8 (default), w4a8, int8-dynamic, int8-weights, int4, int3, int2, ternary or binary");
  app->add_option("--budget", o->budget, "minutes after which no new trial is begun (default 10)")
      ->check(CLI::Range(0.0, 10000.0));
  app->add_option("--out", o->out, "file for the remedy as narrow.toml");
  app->add_option("--proof", o->proof,
                  "point (default): the measured value decides; ci: its whole 95% interval must pass");
  app->add_option(
      "--metric-cmd", o->metric_command,
      "program that reads the outputs (an .npz, its argument) and prints one number: gate it as `metric`");
  app->add_option("--group-size", o->group_size,
                  "weights that share a scale in int4 and other weight-only formats (default 32) or a step "
                  "in w4a8 (default 16)")
      ->check(CLI::Range(2, 65536));
  app->add_option("--layer-samples", o->layer_samples, "samples for the per-layer figures (default 4)")
      ->check(CLI::Range(1, 1024));
  add_recipe(*app, o->recipe);
  add_ranges(*app, o->method, o->percentile);
  add_memory(*app, o->memory);
  add_common(*app, o->common);
  return {app, [o] { return run(*o); }};
}

}  // namespace narrow::cli
