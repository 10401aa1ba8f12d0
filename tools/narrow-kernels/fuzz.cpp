#include <fmt/format.h>

#include <map>

#include "cli/table.h"
#include "command.h"
#include "kernel_cases/check.h"
#include "kernel_cases/draw.h"
#include "kernel_cases/shrink.h"

namespace narrow::kernels_tool {
namespace {

using kernel_cases::Case;
using kernel_cases::Family;
using kernel_cases::Verdict;

struct Options {
  int64_t cases = 1000;
  uint64_t seed = 1;
  std::string family;
};

class Fuzzer {
 public:
  std::vector<Verdict> check(const Case& c) {
    return kernel_cases::check(c, teams_, [&](const std::string& candidate) {
      note_running(fmt::format("{}, {}", candidate, repeat(c)));
    });
  }

  /// The case that failed, and the smallest that still does.
  void report(const Case& c, const std::vector<Verdict>& verdicts) {
    say(c, verdicts);
    const Case small = shrink(c, [&](const Case& smaller) { return any_wrong(check(smaller)); });
    if (small == c) return;
    fmt::print(stderr, "made smaller:\n");
    say(small, check(small));
  }

 private:
  static void say(const Case& c, const std::vector<Verdict>& verdicts) {
    for (const Verdict& v : verdicts)
      if (!v.wrong.empty()) fmt::print(stderr, "error: {}: {}\n", v.candidate, v.wrong);
    fmt::print(stderr, "  {}\n", repeat(c));
  }
  kernel_cases::Teams teams_;
};

void print_counts(const Options& o, const std::map<std::string, int64_t>& counts) {
  std::vector<std::vector<std::string>> rows;
  for (const auto& [candidate, count] : counts) rows.push_back({candidate, fmt::format("{}", count)});
  fmt::print("{}{} cases of seed {}: all agree\n", cli::table({"candidate", "cases"}, rows, {false, true}),
             o.cases, o.seed);
}

Result<int> run(const Options& o) {
  const Family* family = nullptr;
  if (!o.family.empty()) {
    NARROW_TRY(const Case standard, kernel_cases::parse_case(o.family));
    family = standard.family;
  }
  Fuzzer fuzzer;
  std::map<std::string, int64_t> counts;
  for (int64_t i = 0; i < o.cases; ++i) {
    kernel_cases::Dice dice = kernel_cases::dice_of(o.seed, i);
    const Case c = draw_case(dice, family);
    const std::vector<Verdict> verdicts = fuzzer.check(c);
    for (const Verdict& v : verdicts) counts[v.candidate] += v.skipped.empty() ? 1 : 0;
    if (!any_wrong(verdicts)) continue;
    fuzzer.report(c, verdicts);
    return kDiffers;
  }
  print_counts(o, counts);
  return kDone;
}

}  // namespace

Command add_fuzz(CLI::App& root) {
  auto o = std::make_shared<Options>();
  CLI::App* app = root.add_subcommand("fuzz", "random cases until one differs");
  app->description(
      "Draws cases (odd extents, empty batches, groups, dilation, zero points and values at the ends of "
      "their range) "
      "and checks each;\nthe first that differs is printed, made smaller while it still differs, and ends "
      "the run.");
  app->add_option("--cases", o->cases, "how many (default 1000)")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 40));
  app->add_option("--seed", o->seed, "of the cases (default 1)");
  app->add_option("--family", o->family, "of one family only");
  return {app, [o] { return run(*o); }};
}

}  // namespace narrow::kernels_tool
