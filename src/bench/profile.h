// Where a plan's time goes: each step timed inside of whole runs, beside runs that nobody watches.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "base/progress.h"
#include "base/result.h"
#include "bench/work.h"
#include "runtime/session.h"

namespace narrow::bench {

/// Since the run began.
struct Span {
  double start_us, us;
};

struct StepProfile {
  runtime::StepChoice choice;
  Arithmetic arithmetic = Arithmetic::none;
  int64_t macs = 0, bytes = 0;
  double ms = 0;  // median over the runs
  std::vector<Span>
      traced;  // in the run whose steps took the median time together; one per slice of the batch
  Bound bound;

  /// The node's name, or those of the values it makes.
  std::string name() const;
  double gops() const;  // 10^9 operations a second, 0 without products
  double gb_s() const;
  /// Shares of the ceilings: the least time over the time it took.
  double compute_share() const;
  double bandwidth_share() const;
};

struct Profile {
  std::vector<StepProfile> steps;  // in the order of the plan
  int repetitions = 0;
  Roofs roofs;
  double run_ms = 0;                               // median of runs without an observer
  double steps_ms = 0;                             // the steps' medians together
  int64_t arena_bytes = 0, arena_lower_bound = 0;  // of activations; most bytes alive at one step

  /// How much of an unobserved run the steps explain.
  double explained() const { return run_ms > 0 ? steps_ms / run_ms : 0; }
  int64_t macs() const;
  int64_t bytes() const;
  /// Gives every step its bounds.
  void set_roofs(const Roofs& measured);
};

/// Warms up, then runs `repetitions` times unobserved and observed in turns. `inputs`: as Session::run takes
/// them. Roofs are
/// not set. What is interpreted (shapes that depend on data) is timed; its multiply-adds and bytes count as
/// far as shapes are known. Errors: those of Session::run().
Result<Profile> profile(runtime::Session& session, const TensorMap& inputs, int repetitions,
                        const Progress& progress = {});

/// Steps of one op on one kernel together, most time first.
struct KernelShare {
  std::string op, kernel;
  int64_t steps = 0, macs = 0, bytes = 0;
  double ms = 0;
};
std::vector<KernelShare> by_kernel(const Profile& profile);

/// fp32_gops bf16_gops int8_gops memory_gb_s cache_gb_s cache_bytes.
Json to_json(const Roofs& roofs);

/// run_ms steps_ms explained repetitions macs bytes arena_bytes arena_lower_bound roofs steps kernels
/// (docs/commands/profile.md).
Json to_json(const Profile& profile);

/// One run as chrome://tracing and Perfetto read it: a complete event ("X") per step and slice, microseconds.
Json to_trace(const Profile& profile, const std::string& model);

}  // namespace narrow::bench
