#include "kernel_cases/check.h"

#include <fmt/format.h>

#include "cli/table.h"
#include "command.h"

namespace narrow::kernels_tool {
namespace {

using kernel_cases::Verdict;

Result<int> run(const std::vector<std::string>& words) {
  NARROW_TRY(const kernel_cases::Case c, case_of(words));
  kernel_cases::Teams teams;
  const std::vector<Verdict> verdicts = check(c, teams, [&](const std::string& candidate) {
    note_running(fmt::format("{}, {}", candidate, repeat(c)));
  });
  note_running({});
  std::vector<std::vector<std::string>> rows;
  for (const Verdict& v : verdicts)
    rows.push_back({v.candidate, to_string(v.isa),
                    !v.wrong.empty()     ? "differs"
                    : !v.skipped.empty() ? "not run: " + v.skipped
                                         : "agrees"});
  fmt::print("{}\n{}", text(c), cli::table({"candidate", "isa", "result"}, rows, {false, false, false}));
  std::fflush(stdout);
  for (const Verdict& v : verdicts)
    if (!v.wrong.empty())
      fmt::print(stderr, "error: {}: {} (once more: {})\n", v.candidate, v.wrong, repeat(c));
  return any_wrong(verdicts) ? kDiffers : kDone;
}

}  // namespace

Command add_check(CLI::App& root) {
  auto words = std::make_shared<std::vector<std::string>>();
  CLI::App* app = root.add_subcommand("check", "every candidate against the reference");
  app->description(
      "Runs every candidate that takes the case and holds it to the reference: integers bit for bit, floats "
      "within a derived bound;\nthen on more threads and in place, which must change no bit. Operands end at "
      "a page "
      "that may not be touched.");
  add_case(*app, *words);
  return {app, [words] { return run(*words); }};
}

}  // namespace narrow::kernels_tool
