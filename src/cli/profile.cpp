#include "bench/profile.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>

#include "base/file.h"
#include "base/json_text.h"
#include "bench/bench.h"
#include "cli/command.h"
#include "cli/table.h"
#include "pipeline/peaks.h"

namespace narrow::cli {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kTop = 20;

struct Options {
  Common common;
  std::string path, trace;
  int64_t batch = 1, length = 128, top = 0;  // top 0: kTop
  int repetitions = 30;
  bool all = false;
};

/// A folder stands for the build that was chosen in it.
Result<fs::path> model_file(const fs::path& path) {
  std::error_code error;
  if (!fs::is_directory(path, error)) return path;
  const fs::path manifest = path / "manifest.json";
  NARROW_TRY(const auto file, MappedFile::open(manifest));
  NARROW_TRY(const Json json, parse_json(file->text(), manifest.string()));
  const std::string chosen = text_member(member(json, "decision"), "chosen");
  if (chosen.empty())
    return Error{.code = Code::invalid_data,
                 .subject = manifest.string(),
                 .expected = "a decision that chose a build",
                 .got = "none",
                 .hint = "name one of the folder's .narrow files"};
  return path / (chosen + ".narrow");
}

std::string percent(double share) { return fmt::format("{:.0f}%", 100 * share); }
std::string rate_text(double rate) { return rate > 0 ? fmt::format("{:.1f}", rate) : "-"; }
std::string share_text(double share) { return share > 0 ? percent(share) : "-"; }

std::string bytes_text(int64_t bytes) { return bytes > 0 ? count_text(bytes) : "-"; }

/// "arena 1.50 MB (lower bound 1.20 MB, +25%)": activations planned, and the most that is alive at once.
std::string arena_text(const bench::Profile& p) {
  const double over = p.arena_lower_bound > 0
                          ? static_cast<double>(p.arena_bytes) / static_cast<double>(p.arena_lower_bound) - 1
                          : 0;
  return fmt::format("arena {} (lower bound {}, +{})", megabytes(p.arena_bytes),
                     megabytes(p.arena_lower_bound), percent(over));
}

std::string header(const bench::Profile& p, const Options& o, const Json& machine) {
  const bench::Roofs& roofs = p.roofs;
  return fmt::format(
      "{} · {} · {} threads · batch {} · load {:.1f} · random inputs\n"
      "{} steps take {} ms; the median of {} runs without an observer is {} ms ({} explained)\n"
      "roofs: {:.0f} GFLOP/s fp32, {:.0f} bf16, {:.0f} GOP/s int8; {:.0f} GB/s from memory, {:.0f} from "
      "caches (up to {})\n"
      "{}\n\n",
      machine["processor"].get<std::string>(), machine["isa"].get<std::string>(),
      machine["threads"].get<int>(), o.batch, machine["load_average"].get<double>(), p.steps.size(),
      milliseconds(p.steps_ms), p.repetitions, milliseconds(p.run_ms), percent(p.explained()),
      roofs.fp32_gops, roofs.bf16_gops, roofs.int8_gops, roofs.memory_gb_s, roofs.cache_gb_s,
      megabytes(roofs.cache_bytes), arena_text(p));
}

/// All in the order of the plan, or the slowest first and a line about the others.
std::string step_table(const bench::Profile& p, const Options& o) {
  std::vector<const bench::StepProfile*> steps;
  for (const bench::StepProfile& step : p.steps) steps.push_back(&step);
  const auto top = static_cast<size_t>(o.top > 0 ? o.top : kTop);
  const size_t shown = o.all ? steps.size() : std::min(steps.size(), top);
  if (!o.all)
    std::stable_sort(steps.begin(), steps.end(), [](const auto* a, const auto* b) { return a->ms > b->ms; });
  std::vector<std::vector<std::string>> rows;
  for (size_t i = 0; i < shown; ++i) {
    const bench::StepProfile& s = *steps[i];
    rows.push_back({s.name(), s.choice.op, s.choice.kernel + (s.choice.emulated ? " (emulated)" : ""),
                    fmt::format("{}", fmt::join(s.choice.formats, ",")), to_string(s.arithmetic),
                    s.macs > 0 ? count_text(s.macs) : "-", bytes_text(s.bytes), rate_text(s.gops()),
                    share_text(s.compute_share()), share_text(s.bandwidth_share()), s.bound.limit,
                    milliseconds(s.ms),
                    fmt::format("{:.1f}%", p.steps_ms > 0 ? 100 * s.ms / p.steps_ms : 0)});
  }
  std::string text =
      table({"step", "op", "kernel", "format", "arithmetic", "MACs", "bytes", "GOP/s", "of peak",
             "of bandwidth", "limit", "ms", "share"},
            rows, {false, false, false, false, false, true, true, true, true, true, false, true, true});
  if (shown < steps.size()) {
    double rest = 0;
    for (size_t i = shown; i < steps.size(); ++i) rest += steps[i]->ms;
    text += fmt::format("and {} steps more: {} ms, {}; --all shows them\n", steps.size() - shown,
                        milliseconds(rest), percent(p.steps_ms > 0 ? rest / p.steps_ms : 0));
  }
  return text;
}

std::string kernel_table(const bench::Profile& p) {
  std::vector<std::vector<std::string>> rows;
  for (const bench::KernelShare& k : bench::by_kernel(p))
    rows.push_back({k.op, k.kernel, fmt::format("{}", k.steps), k.macs > 0 ? count_text(k.macs) : "-",
                    bytes_text(k.bytes), milliseconds(k.ms),
                    fmt::format("{:.1f}%", p.steps_ms > 0 ? 100 * k.ms / p.steps_ms : 0)});
  return table({"op", "kernel", "steps", "MACs", "bytes", "ms", "share"}, rows,
               {false, false, true, true, true, true, true});
}

Result<int> run(const Options& o) {
  if (o.all && o.top > 0)
    return Error{.code = Code::usage, .subject = "--top", .expected = "either --top or --all", .got = "both"};
  NARROW_TRY(const fs::path file, model_file(o.path));
  auto pool = std::make_shared<ThreadPool>(o.common.threads);
  NARROW_TRY(runtime::Session session, runtime::Session::open(file, pool));
  const bench::Roofs before = pipeline::measure_roofs(pool->threads());
  NARROW_TRY(const ir::Graph* graph, session.graph());
  const TensorMap inputs = bench::random_inputs(*graph, o.batch, o.length, o.common.seed);
  NARROW_TRY(bench::Profile profile, bench::profile(session, inputs, o.repetitions, make_progress(o.common)));
  profile.set_roofs(bench::higher(before, pipeline::measure_roofs(pool->threads())));
  const Json machine = bench::environment(pool->threads());
  std::string text = header(profile, o, machine) + step_table(profile, o) + "\n" + kernel_table(profile);
  Json json = bench::to_json(profile);
  json["file"] = file.string();
  json["batch"] = o.batch;
  json["environment"] = machine;
  if (!o.trace.empty()) {
    NARROW_DO(write_file(o.trace, json_text(bench::to_trace(profile, file.string())) + "\n"));
    text += fmt::format("\n{}: one run, for ui.perfetto.dev or chrome://tracing\n", o.trace);
    json["trace"] = o.trace;
  }
  print_text(o.common, text);
  print_json(o.common, json);
  return kDone;
}

}  // namespace

Command add_profile(CLI::App& root) {
  auto o = std::make_shared<Options>();
  CLI::App* app = root.add_subcommand("profile", "time per step, and how near the machine's ceilings it is");
  app->description(
      "Runs a model on random inputs and says what each step of its plan took: kernel, arithmetic, bytes, "
      "share of the measured peak and bandwidth.\nA build's folder stands for the build that was chosen.");
  app->add_option("PATH", o->path, ".onnx or .narrow file, or folder of a build")->required();
  app->add_option("--batch", o->batch, "samples per inference (default 1)")->check(CLI::Range(1, 65536));
  app->add_option("--length", o->length, "what other free dimensions become (default 128)")
      ->check(CLI::Range(1, 1 << 20));
  app->add_option("--repetitions", o->repetitions, "runs that medians are taken of (default 30)")
      ->check(CLI::Range(1, 1000));
  app->add_option("--top", o->top, "how many steps to show, slowest first (default 20)")
      ->check(CLI::Range(1, 1 << 20));
  app->add_flag("--all", o->all, "show all steps, in the order of the plan");
  app->add_option("--trace", o->trace, "write one run as a trace file for Perfetto or Chrome");
  add_common(*app, o->common);
  return {app, [o] { return run(*o); }};
}

}  // namespace narrow::cli
