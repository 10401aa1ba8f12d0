#include "kernel_cases/check.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/aligned.h"
#include "kernel_cases/family.h"
#include "kernel_cases/guarded.h"

namespace narrow::kernel_cases {
namespace {

struct Ran {
  std::vector<Guarded> outputs;
  std::string wrong;  // wrote where it may not
};

class Checker {
 public:
  Checker(const Problem& problem, uint64_t seed, Teams& teams)
      : problem_(problem), other_(seed % 2 == 0 ? teams.two : teams.three), one_(teams.one) {
    for (const Bytes& bytes : problem.inputs) inputs_.emplace_back(bytes);
  }

  std::string judge(const Candidate& candidate) {
    Ran first = run(candidate, one_, false);
    if (!first.wrong.empty()) return first.wrong + " on 1 thread";
    for (size_t i = 0; i < problem_.outputs.size(); ++i)
      if (const auto m = first_mismatch(problem_.outputs[i], first.outputs[i].data(), candidate.accuracy))
        return say(*m, "on 1 thread");
    const std::string threads = fmt::format("on {} threads", other_.threads());
    if (std::string wrong = same_bits(first, run(candidate, other_, false), threads); !wrong.empty())
      return wrong;
    const bool can_overwrite = std::any_of(problem_.outputs.begin(), problem_.outputs.end(),
                                           [](const Output& o) { return o.may_overwrite >= 0; });
    return can_overwrite ? same_bits(first, run(candidate, other_, true), "in place") : "";
  }

 private:
  static std::string say(const Mismatch& m, const std::string& how) {
    return fmt::format("{}: expected {}, got {}, {}", m.where, m.expected, m.got, how);
  }

  Ran run(const Candidate& candidate, ThreadPool& pool, bool in_place) {
    const PreparedKernel kernel = candidate.prepare(pool.threads());
    Guarded scratch(round_up(kernel.scratch_bytes, kCacheLine), 0xff);  // NaN in every float type
    Ran ran;
    Memory memory;
    for (Guarded& input : inputs_) memory.in.push_back(input.data());
    for (const Output& o : problem_.outputs) {
      Guarded& out = ran.outputs.emplace_back(o.bytes(), 0x5a);
      memory.out.push_back(out.data());
      if (!in_place || o.may_overwrite < 0) continue;
      const auto from = static_cast<size_t>(o.may_overwrite);
      std::copy(problem_.inputs[from].begin(), problem_.inputs[from].end(), out.data());
      memory.in[from] = out.data();
    }
    memory.scratch = scratch.data();
    kernel.run(memory, pool);
    for (size_t i = 0; i < ran.outputs.size(); ++i)
      if (!ran.outputs[i].front_untouched())
        ran.wrong =
            fmt::format("{}: expected nothing before it written, got a write", problem_.outputs[i].name);
    if (!scratch.front_untouched()) ran.wrong = "scratch: expected nothing before it written, got a write";
    return ran;
  }

  std::string same_bits(Ran& want, Ran got, const std::string& how) const {
    if (!got.wrong.empty()) return got.wrong + ", " + how;
    for (size_t i = 0; i < problem_.outputs.size(); ++i)
      if (const auto m = first_difference(problem_.outputs[i], want.outputs[i].data(), got.outputs[i].data()))
        return say(*m, how + " and not as on 1 thread");
    return {};
  }

  const Problem& problem_;
  ThreadPool &other_, &one_;
  std::vector<Guarded> inputs_;
};

}  // namespace

std::vector<Verdict> check(Problem& problem, uint64_t seed, Teams& teams,
                           const std::function<void(const std::string&)>& before) {
  problem.solve(problem);
  Checker checker(problem, seed, teams);
  std::vector<Verdict> verdicts;
  for (const Candidate& candidate : problem.candidates) {
    Verdict v{candidate.name, candidate.isa, candidate.refusal, {}};
    if (v.skipped.empty() && !runs_here(candidate.isa))
      v.skipped = fmt::format("{} is not usable here", to_string(candidate.isa));
    if (v.skipped.empty()) {
      if (before) before(candidate.name);
      v.wrong = checker.judge(candidate);
    }
    verdicts.push_back(std::move(v));
  }
  return verdicts;
}

std::vector<Verdict> check(const Case& c, Teams& teams,
                           const std::function<void(const std::string&)>& before) {
  Problem problem = c.family->pose(c);
  return check(problem, static_cast<uint64_t>(c.size("seed")), teams, before);
}

bool any_wrong(const std::vector<Verdict>& verdicts) {
  return std::any_of(verdicts.begin(), verdicts.end(), [](const Verdict& v) { return !v.wrong.empty(); });
}

}  // namespace narrow::kernel_cases
