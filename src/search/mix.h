// The fastest choice of a format per layer whose noise stays below a bound: an integer program.
//
//   minimise    sum_l ms(l, f_l)  +  sum_(l,m) [f_l != f_m] ms(l, m)
//   subject to  sum_l noise(l, f_l) <= bound
//
// Times are measured; noise is a layer's share in the noise of the outputs, which adds up while it is small
// and layers err independently. Casts between layers of different formats cost as much as they move.
// Source of the form: Dong et al., "HAWQ-V3", arXiv:2011.10680, 3.4, without casts. Solved exactly, up to a
// gap of 0.01 %, by COIN-OR Cbc (branch and cut).
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "quant/recipe.h"

namespace narrow::search {

struct FormatCost {
  quant::NodeFormat format;
  double ms = 0, noise = 0;  // noise: of the outputs' power
};

struct MixLayer {
  std::string key, node;  // quant::key_of(), and the ONNX name
  std::vector<FormatCost> choices;
};

/// A value that goes from one layer to another and must be converted when their formats differ.
struct MixEdge {
  size_t from = 0, to = 0;  // layers
  double ms = 0;
};

struct MixProblem {
  std::vector<MixLayer> layers;
  std::vector<MixEdge> edges;
};

struct Mix {
  std::vector<size_t> choice;  // of each layer: an index of its choices
  double ms = 0, noise = 0;    // as the problem predicts them, casts included
};

/// What a choice costs by the problem's figures.
Mix price(const MixProblem& problem, std::vector<size_t> choice);

/// The fastest mix with at most so much noise. Deterministic. Errors: invalid_argument when not even the
/// quietest choices stay below the bound.
Result<Mix> fastest_mix(const MixProblem& problem, double noise_bound);

/// fastest_mix() for bounds that halve from the noise of the fastest mix of all down to the least there is,
/// each mix once: the Pareto front of time and noise, fastest first.
Result<std::vector<Mix>> pareto_front(const MixProblem& problem);

}  // namespace narrow::search
