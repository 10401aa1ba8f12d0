// Which layers are to blame: the smallest set whose widening makes a build hold its gates.
#pragma once

#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "base/result.h"

namespace narrow::search {

/// What widening a set of layers gave.
struct Outcome {
  bool holds = false;
  double score = 0;  // the higher the better; only compared with other scores of one search
};

/// Layers are numbers from 0, the likeliest culprit first; a set is sorted.
using LayerSet = std::vector<size_t>;
using SetTrial = std::function<Result<Outcome>(const LayerSet& widened)>;

struct CulpritOptions {
  int most_trials = 0;                     // 0: no bound
  size_t probes = 0;                       // layers widened alone first, to rank them by what that gives
  bool shrink = true;                      // to a set that cannot lose a member
  std::function<bool()> out_of_time = {};  // asked before every trial; none: never
};

struct Culprits {
  LayerSet layers;  // the smallest set that holds; where none does the set with the best score
  bool holds = false;
  bool minimal = false;  // without any one of `layers` the trial fails
  bool stopped = false;  // trials or time ran out
  int trials = 0;        // sets that were tried, each once
  /// What widening one layer alone gave, of those that were probed.
  std::vector<std::pair<size_t, Outcome>> alone;
};

/// 1. Probes: each of the first `probes` layers alone; one that holds ends the search. Otherwise the probed
///    are ranked anew by their scores.
/// 2. Doubling: the first 1, 2, 4, ... of the ranking until they hold; then bisection to the fewest of them.
/// 3. What is left loses parts, ever finer ones, until no member can be spared: ddmin's reduction to
///    complements. Its reduction to subsets is left out: where errors add up, parts of the fewest
///    of a ranking rarely hold, and each costs a trial.
///    Source: Zeller and Hildebrandt, "Simplifying and isolating failure-inducing input", IEEE TSE 28(2),
///    2002, section 3; "fails" there is "holds" here.
/// Errors: those of the trial.
Result<Culprits> find_culprits(size_t layers, const SetTrial& trial, const CulpritOptions& options = {});

}  // namespace narrow::search
