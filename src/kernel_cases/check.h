// Every candidate of a problem against its reference.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "kernel_cases/case.h"
#include "kernel_cases/judge.h"
#include "kernel_cases/problem.h"

namespace narrow::kernel_cases {

/// Pools of one, two and three threads; made once, for many checks.
struct Teams {
  ThreadPool one{1}, two{2}, three{3};
};

/// What became of one candidate.
struct Verdict {
  std::string candidate;
  Isa isa = Isa::plain;
  std::string skipped;  // why it did not run: its refusal, or an instruction set that is not usable here
  std::string wrong;    // "dst[0,3,2,17]: expected 12, got 13, on 1 thread"; empty: right
};

/// Runs each candidate that takes the case: on one thread against the reference, on two or three (`seed`
/// chooses) and in place against that run, bit for bit, as results must not depend on either. Operands end at
/// a page that may not be touched and cannot be written. `before` is called with each candidate's name.
std::vector<Verdict> check(Problem& problem, uint64_t seed, Teams& teams,
                           const std::function<void(const std::string&)>& before = {});

/// poses the case and checks it.
std::vector<Verdict> check(const Case& c, Teams& teams,
                           const std::function<void(const std::string&)>& before = {});

bool any_wrong(const std::vector<Verdict>& verdicts);

}  // namespace narrow::kernel_cases
