// What the subcommands of narrow-kernels share.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "kernel_cases/case.h"

namespace narrow::kernels_tool {

/// 0 done, 1 error, 2 wrong usage, 3 a kernel differs from its reference.
enum Exit : int { kDone = 0, kError = 1, kUsage = 2, kDiffers = 3 };

struct Command {
  CLI::App* app;
  std::function<Result<int>()> run;
};

/// The words of one case, quoted or not: they are joined by blanks and parsed.
void add_case(CLI::App& app, std::vector<std::string>& words);
Result<kernel_cases::Case> case_of(const std::vector<std::string>& words);

/// The line that repeats a case.
std::string repeat(const kernel_cases::Case& c);

/// While a case runs, a crash prints its line first (SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT).
void note_running(const std::string& line);
void install_crash_note();

Command add_list(CLI::App& root);
Command add_check(CLI::App& root);
Command add_time(CLI::App& root);
Command add_fuzz(CLI::App& root);

}  // namespace narrow::kernels_tool
