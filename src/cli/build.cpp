#include "pipeline/build.h"

#include <fmt/format.h>

#include "base/cpu.h"
#include "cli/command.h"
#include "cli/table.h"

namespace narrow::cli {
namespace {

struct Options {
  Common common;
  std::string model, calib, eval, out, precisions = "fp32,bf16,fp16,int8,mixed", objective = "latency",
                                       proof = "point", method = "mse", target = "portable",
                                       tactics = "tuned", metric_command, config;
  std::vector<std::string> gates, recipe, wide;
  int64_t batch = 1, memory = 0;
  std::optional<int64_t> group_size;
  double percentile = 99.99, budget = 10, seconds = 1;
};

Result<std::vector<quant::Precision>> parse_precisions(const std::string& list) {
  std::vector<quant::Precision> precisions;
  for (const std::string& name : CLI::detail::split(list, ',')) {
    const auto precision = quant::parse_precision(name);
    if (!precision)
      return Error{.code = Code::usage,
                   .subject = "--precisions",
                   .expected =
                       "a list of fp32, bf16, fp16, int8, w4a8, int8-dynamic, int8-weights, int4, int3, "
                       "int2, ternary, binary, mixed",
                   .got = "'" + name + "'"};
    precisions.push_back(*precision);
  }
  return precisions;
}

Result<pipeline::BuildOptions> to_build_options(const Options& o) {
  pipeline::BuildOptions build;
  build.model = o.model, build.calib = o.calib, build.eval = o.eval, build.out = o.out;
  NARROW_TRY(build.precisions, parse_precisions(o.precisions));
  NARROW_TRY(build.gates, parse_gates(o.gates));
  NARROW_TRY(build.ranges, parse_ranges(o.method, o.percentile));
  const auto objective = pipeline::parse_objective(o.objective);
  if (!objective)
    return Error{.code = Code::usage,
                 .subject = "--objective",
                 .expected = "latency, throughput, size or cost",
                 .got = "'" + o.objective + "'"};
  build.objective = *objective;
  const auto proof = verify::parse_proof(o.proof);
  if (!proof)
    return Error{.code = Code::usage,
                 .subject = "--proof",
                 .expected = "point, ci or sequential",
                 .got = "'" + o.proof + "'"};
  build.proof = *proof;
  build.metric_command = o.metric_command;
  build.batch = o.batch;
  build.group_size = o.group_size;
  NARROW_TRY(build.methods, parse_recipe(o.recipe));
  NARROW_TRY(build.target, parse_target(o.target));
  NARROW_TRY(build.tactics, parse_tactics(o.tactics));
  build.wide = o.wide;
  build.memory = o.memory;
  build.threads = o.common.threads;
  build.seed = o.common.seed;
  build.bench_seconds = o.seconds;
  build.budget_minutes = o.budget;
  return build;
}

std::string header(const Options& o) {
  const CpuFeatures& cpu = cpu_features();
  const Isa isa = usable_isa();
  const std::string native = isa >= Isa::amx             ? "int8 and bf16 (AMX)"
                             : has_bf16_products(isa)    ? "int8 (AVX-512 VNNI) and bf16 (AVX512-BF16)"
                             : isa >= Isa::avx512_vnni   ? "int8 (AVX-512 VNNI)"
                             : runs_here(Isa::avx2_vnni) ? "int8 (AVX-VNNI)"
                                                         : "fp32 only";
  return fmt::format("narrow 0.1 · {}, {} threads · native: {}\n", cpu.model,
                     o.common.threads > 0 ? o.common.threads : cpu.cores, native);
}

/// The figure the table shows: top1 when there are labels, else perplexity, else what there is.
const char* headline(const verify::Figures& figures) {
  for (const char* name : {"top1", "perplexity", "mae", "agreement", "cosine"})
    if (figures.by_name.contains(name)) return name;
  return nullptr;
}

std::string change_of(const verify::Figure& f, bool share) {
  const double sign = share ? -1 : 1;
  const double low = sign < 0 ? -f.change_interval.high : f.change_interval.low,
               high = sign < 0 ? -f.change_interval.low : f.change_interval.high;
  return share ? fmt::format("{:.2f} ({:.1f} … {:.1f})", sign * f.change + 0.0, low + 0.0, high + 0.0)
               : fmt::format("{:.4f} ({:.4f} … {:.4f})", f.change, low, high);
}

/// "97 of 2000": how many were looked at; of FP32 only how many.
std::string samples_of(const pipeline::BuildResult& result, const pipeline::Build& build) {
  for (const pipeline::TakenSamples& taken : result.taken)
    if (taken.build == build.name) return fmt::format("{} of {}", taken.samples, taken.available);
  return std::to_string(build.figures.samples);
}

std::string result_table(const pipeline::BuildResult& result) {
  const char* name = headline(result.builds.front().figures);
  const bool share = name != nullptr && std::string(verify::unit_of(name)) == "%";
  std::vector<std::string> head = {"build", "size", "p50 ms", "p99 ms", "samples/s"};
  std::vector<bool> right = {false, true, true, true, true};
  if (name != nullptr) {
    const bool paired = result.builds.front().figures.by_name.at(name).reference.has_value();
    head.insert(head.end(), {std::string(name) + (share ? " %" : ""),
                             paired ? (share ? "drop pp (95% CI)" : "rise (95% CI)") : "", "SQNR"});
    right.insert(right.end(), {true, true, true});
  }
  if (!result.taken.empty()) head.emplace_back("samples"), right.push_back(true);
  head.emplace_back("verdict");
  right.push_back(false);
  std::vector<std::vector<std::string>> rows;
  for (size_t i = 0; i < result.builds.size(); ++i) {
    const pipeline::Build& b = result.builds[i];
    std::vector<std::string> row = {b.name, megabytes(b.file_bytes), milliseconds(b.record.median_ms),
                                    milliseconds(b.record.p99_ms),
                                    fmt::format("{:.0f}", b.record.throughput)};
    if (name != nullptr) {
      const verify::Figure& f = b.figures.by_name.at(name);
      row.push_back(share ? fmt::format("{:.2f}", f.value) : fmt::format("{:.4f}", f.value));
      row.push_back(i == 0 || !f.reference ? "" : change_of(f, share));
      row.push_back(i == 0 ? "" : fmt::format("{:.0f} dB", b.figures.by_name.at("sqnr").value));
    }
    if (!result.taken.empty()) row.push_back(samples_of(result, b));
    row.push_back(result.decision.verdicts[i].text);
    rows.push_back(std::move(row));
  }
  return table(head, rows, right);
}

std::string closing(const Options& o, const pipeline::BuildResult& result) {
  std::string text = "\n";
  for (const std::string& note : result.notes) text += note + "\n";
  for (const std::string& reason : result.skipped) text += "not built: " + reason + "\n";
  if (o.eval.empty())
    text +=
        "No --eval: nothing is known of the answers' accuracy; the figures above are about speed and size "
        "only.\n";
  int64_t more = 0;
  std::string gate_text;
  for (const pipeline::Build& b : result.builds)
    for (const verify::GateResult& gate : b.gates)
      if (gate.more_samples > more && (b.name == result.decision.chosen || more == 0))
        more = gate.more_samples, gate_text = b.name + ": " + gate.gate.text;
  if (more > 0)
    text += fmt::format(
        "The interval of {} lies on both sides of its bound; about {} more samples would settle it.\n",
        gate_text, more);
  if (!result.comparisons.sentence.empty()) text += result.comparisons.sentence + "\n";
  for (const pipeline::Build& b : result.builds)
    for (const std::string& finding : b.findings) text += fmt::format("{}: {}\n", b.name, finding);
  text += result.decision.explanation + "\n";
  if (!result.decision.chosen.empty())
    text += fmt::format("{0}/{1}.narrow   {0}/{1}.onnx   {0}/manifest.json   {0}/report.html\n", o.out,
                        result.decision.chosen);
  return text;
}

Result<int> run(const Options& o) {
  NARROW_TRY(pipeline::BuildOptions options, to_build_options(o));
  if (!o.common.quiet) print_text(o.common, header(o));
  NARROW_TRY(const pipeline::BuildResult result, pipeline::build(options, make_progress(o.common)));
  const pipeline::ModelSummary& s = result.summary;
  print_text(o.common,
             fmt::format("\n{} layers · {} parameters · {} MACs a sample · {} calibration samples\n\n",
                         s.layers, count_text(s.parameters), count_text(s.macs), result.calib_samples));
  print_text(o.common, result_table(result) + closing(o, result));
  print_json(o.common, result.manifest);
  if (result.gates_passed()) return kDone;
  return result.inconclusive() ? kInconclusive : kGateFailed;
}

}  // namespace

Command add_build(CLI::App& root) {
  auto o = std::make_shared<Options>();
  CLI::App* app = root.add_subcommand("build", "build, prove, measure and choose: the whole way");
  app->description(
      "Builds MODEL in several precisions, compares each with FP32 on --eval layer by layer and end to end, "
      "times them\n"
      "interleaved, and chooses by gates and objective. Writes DIR/<precision>.narrow and .onnx, "
      "calibration.json,\n"
      "manifest.json, report.html. A build that is slower or worse is never chosen without saying so.");
  app->add_option("MODEL", o->model, "FP32 .onnx file")->required();
  app->add_option("--calib", o->calib, "representative inputs: .toml, folder, .npz or .npy")->required();
  app->add_option("--eval", o->eval, "inputs (with labels) to judge the answers on");
  app->add_option("--out", o->out, "folder to write; replaced as a whole")->required();
  app->add_option("--precisions", o->precisions,
                  "comma-separated: fp32,bf16,fp16,int8,mixed (the default), w4a8, int8-dynamic, "
                  "int8-weights, int4, int3, int2, ternary, binary");
  app->add_option("--gate", o->gates,
                  "METRIC[.drop|.rise] OP VALUE[UNIT], repeatable: top1.drop<=0.5pp, sqnr>=20dB, p99<=10ms, "
                  "size<=0.3x")
      ->expected(1)
      ->allow_extra_args(false)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  app->add_option("--objective", o->objective, "latency (default), throughput, size or cost");
  app->add_option(
      "--proof", o->proof,
      "point (default): the measured value decides; ci: its whole 95% interval must pass, wider when several "
      "builds are tried; sequential: the same, looked at after every sample, and a build answers no more of "
      "them once it is decided");
  app->add_option(
      "--metric-cmd", o->metric_command,
      "program that reads the outputs (an .npz, its argument) and prints one number: gate it as `metric`");
  app->add_option("--batch", o->batch, "samples per inference when timing (default 1)")
      ->check(CLI::Range(1, 65536));
  app->add_option("--group-size", o->group_size,
                  "weights that share a scale in int4 and other weight-only formats (default 32) or a step "
                  "in w4a8 (default 16); 0: "
                  "those of a result channel")
      ->check(CLI::Range(2, 65536) | CLI::IsMember({0}));
  add_recipe(*app, o->recipe);
  add_wide(*app, o->wide);
  app->add_option("--budget", o->budget, "minutes that the search of a mix may take (default 10)")
      ->check(CLI::Range(0.1, 1e5));
  app->add_option("--seconds", o->seconds, "timing per build (default 1)")->check(CLI::Range(0.01, 600.0));
  app->add_option("--config", o->config, "options from a TOML file, named like the options above");
  add_ranges(*app, o->method, o->percentile);
  add_memory(*app, o->memory);
  add_target(*app, o->target);
  add_tactics(*app, o->tactics);
  add_common(*app, o->common);
  return {app, [o] { return run(*o); }};
}

}  // namespace narrow::cli
