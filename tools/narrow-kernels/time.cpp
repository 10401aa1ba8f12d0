#include <fmt/format.h>

#include "cli/table.h"
#include "command.h"
#include "kernel_cases/family.h"
#include "kernel_cases/timing.h"

namespace narrow::kernels_tool {
namespace {

struct Options {
  std::vector<std::string> words;
  int threads = 1;
  kernel_cases::TimeOptions time;
};

/// Nothing where the family has no such measure.
std::string rate(double amount, double us) {
  return amount > 0 ? fmt::format("{:.4g}", amount / us * 1e-3) : "";
}

Result<int> run(const Options& o) {
  NARROW_TRY(const kernel_cases::Case c, case_of(o.words));
  const kernel_cases::Problem problem = c.family->pose(c);
  ThreadPool pool(o.threads);
  note_running(text(c));
  const auto timings = time_candidates(problem, o.time, pool);
  note_running({});
  std::vector<std::vector<std::string>> rows;
  size_t skipped = 0;
  for (const kernel_cases::Timing& t : timings) {
    skipped += !t.skipped.empty();
    if (!t.skipped.empty()) continue;
    rows.push_back({t.candidate, to_string(t.isa), fmt::format("{:.4g}", t.median_us),
                    fmt::format("{:.4g}", t.p10_us), fmt::format("{:.4g}", t.p90_us),
                    rate(problem.operations, t.median_us), rate(problem.bytes, t.median_us),
                    fmt::format("{}", t.runs)});
  }
  fmt::print("{}\n{} · {} threads · {}\n", text(c), cpu_features().model, pool.threads(),
             o.time.cold
                 ? fmt::format("cold: {} MB read before each run", kernel_cases::flush_bytes() / 1'000'000)
                 : "warm");
  fmt::print("{}", cli::table({"candidate", "isa", "median us", "p10 us", "p90 us", "GOP/s", "GB/s", "runs"},
                              rows, {false, false, true, true, true, true, true, true}));
  if (skipped > 0)
    fmt::print("{} {}; narrow-kernels check says why\n", skipped,
               o.time.only.empty() ? "do not take it" : "do not take it or are not wanted");
  return kDone;
}

}  // namespace

Command add_time(CLI::App& root) {
  auto o = std::make_shared<Options>();
  CLI::App* app = root.add_subcommand("time", "how long every candidate takes");
  app->description(
      "Candidates take turns. GOP/s counts multiplications and additions that the formula has; GB/s counts "
      "operands, "
      "weights and results once.");
  add_case(*app, o->words);
  app->add_option("--threads", o->threads, "threads to use (default 1; 0: one per core)")
      ->check(CLI::Range(0, 1024));
  app->add_option("--seconds", o->time.seconds, "for each candidate (default 0.5)")
      ->check(CLI::Range(0.001, 3600.0));
  app->add_option("--only", o->time.only, "of the candidates those whose names begin so");
  app->add_flag(
      "--cold", o->time.cold,
      "empty the caches before each run and bring inputs and outputs back: weights come from memory");
  return {app, [o] { return run(*o); }};
}

}  // namespace narrow::kernels_tool
