// Kernels of every instruction set this machine has, on cases whose every choice the input's bytes make: all
// agree with the reference, or the line that repeats the case is printed. The same bytes as text are a case
// for the parser: what it takes prints as text that it takes again.
#include <cstdio>
#include <filesystem>

#include "fuzz.h"
#include "kernel_cases/check.h"
#include "kernel_cases/draw.h"

namespace {

using namespace narrow;

/// The reference's plain loops run with sanitizers here.
constexpr int64_t kBudget = 20'000;

/// With inputs named one by one, as when something found is run once more, every case is printed before it
/// runs.
bool say_cases = false;

void check_parser(std::string_view line) {
  const Result<kernel_cases::Case> c = kernel_cases::parse_case(line);
  fuzz::check_error(c);
  if (!c.ok()) return;
  const Result<kernel_cases::Case> again = kernel_cases::parse_case(text(*c));
  NARROW_CHECK(again.ok() && *again == *c);
}

void check_kernels(const kernel_cases::Case& c) {
  static kernel_cases::Teams teams;
  const std::string line = "narrow-kernels check '" + text(c) + "'\n";
  if (say_cases) std::fputs(line.c_str(), stderr);
  bool agree = true;
  for (const kernel_cases::Verdict& v : check(c, teams)) {
    if (v.wrong.empty()) continue;
    std::fprintf(stderr, "%s: %s\n%s", v.candidate.c_str(), v.wrong.c_str(), line.c_str());
    agree = false;
  }
  NARROW_CHECK(agree);
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(const int* argc, char*** argv) {
  for (int i = 1; i < *argc; ++i) say_cases = say_cases || std::filesystem::is_regular_file((*argv)[i]);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  check_parser(fuzz::text_of(data, size));
  kernel_cases::Dice dice(std::span(data, size));
  check_kernels(draw_case(dice, nullptr, kBudget));
  return 0;
}
