// From predictions to a mix that was tried: which mixes are held against the gates, and in which order.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "base/result.h"
#include "search/mix.h"

namespace narrow::search {

/// Does this mix hold the gates? Asked once for each mix.
using MixTest = std::function<Result<bool>(const Mix&)>;

struct TrialOptions {
  /// Of the cheapest thing there is already. Only mixes below `worth_it` times this are tried.
  double rival_price = 0;
  double worth_it = 0.97;  // what timings differ by is not worth casts
  std::function<bool()> out_of_time = [] { return false; };
};

struct TriedMixes {
  std::optional<Mix> best;  // the cheapest that holds; nothing: none was found
  /// Without `best`: the quietest of all mixes that would be worth it, which does not hold. So none does, as
  /// far as noise decides.
  std::optional<Mix> proof;
  bool none_is_cheaper = false;  // no mix is worth it, whatever its noise
  bool out_of_time = false;
};

/// 1. The front, cheapest first in doubling steps, then by bisection to its first mix that holds. Where none
///    does: the quietest mix that would be worth it.
/// 2. Between that and the one before, which does not hold: bounds on the noise, by bisection.
/// 3. Halves of the layers that could be cheaper, then quarters, ..., most gain first, are tried in their
///    cheapest format, at last single layers in every cheaper one.
/// Errors: those of `holds` and of the solver.
Result<TriedMixes> try_mixes(const MixProblem& problem, const std::vector<Mix>& front,
                             const TrialOptions& options, const MixTest& holds);

}  // namespace narrow::search
