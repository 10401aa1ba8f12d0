// The per-layer choice of formats: what each layer costs and disturbs in every format that was built, an
// exact choice among them (search/mix.h), and trials against the gates (search/mix_trials.h).
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "base/progress.h"
#include "base/result.h"
#include "parallel/thread_pool.h"
#include "pipeline/judge.h"
#include "pipeline/mix_input.h"
#include "pipeline/mix_memory.h"
#include "pipeline/mix_problem.h"
#include "search/mix_trials.h"

namespace narrow::pipeline {

/// How long a mix takes, measured side by side with the uniform build in a format: its time over that.
using MixClock = std::function<Result<double>(const Quantized& mix, quant::NodeFormat rival)>;

struct MixOptions {
  quant::PlanOptions plan;
  quant::Wide pinned;  // layers whose format somebody asked for
  Objective objective = Objective::latency;
  double minutes =
      10;  // nothing is begun that would not end within them, as long as the longest of its kind took
  int64_t samples = 8;  // of the calibration data, on which a layer's noise is measured
  CastRates casts;
  MixClock clock = {};       // none: predictions are believed
  double clock_seconds = 0;  // what it takes, beside putting the mix together
  Stopwatch began = {};      // the minutes
};

/// One mix that was held against the gates.
struct MixTrial {
  search::Mix mix;   // as predicted
  int64_t wide = 0;  // layers that int8 could do and that are not
  bool holds = false;
  std::string gates = {};  // "top1.drop 0.86 pp > 0.5 pp"
};

struct MixFound {
  bool holds = false;  // a mix holds the gates and promises to be better than every uniform build that does
  Quantized mix;       // the best of those, then
  search::MixProblem problem;
  std::vector<search::Mix> front;
  std::vector<MixTrial> trials;
  search::TriedMixes tried;
  std::optional<quant::NodeFormat> rival;  // the best uniform build that holds the gates
  search::Mix rival_mix;
  std::optional<double> measured;  // time of the mix over the rival's
  double cast_factor = 1;          // what casts were found to take, over what they take alone
  LayerNoise noise;
  int64_t recalled = 0;  // noises, times and trials that an earlier search left
  std::vector<std::string> notes;
};

/// Finds the best mix that holds the gates of `judge` (which scores on the evaluation data). Where it is
/// measured to be slower than the rival that it was predicted to beat, casts take the blame: they are charged
/// as much more as explains it, and the search begins again, three times at most. What `memory` holds is not
/// measured again. Errors: those of the data, the engine and the plan.
Result<MixFound> search_mix(const MixInput& input, const MixOptions& options, Judge& judge, MixMemory& memory,
                            const std::shared_ptr<ThreadPool>& pool, const Progress& progress = {});

/// layers (choices with ms, bytes and noise, and which was taken), casts, front, trials, rival, proof.
Json to_json(const MixFound& found);

}  // namespace narrow::pipeline
