// The best choice of a format per layer whose noise stays below a bound: an integer program.
//
//   minimise    sum_l price(l, f_l)  +  sum_v casts(v)
//   subject to  sum_l noise(l, f_l) <= bound
//   casts(v) =  leave(v, c) where some reader's carrier is not c, that of the layer v comes from
//               + sum_(d != c) enter(v, d) where some reader's carrier is d
//
// price = per_ms * ms + per_byte * bytes. Times are measured; noise is a layer's share in the noise of the
// outputs, which adds up while it is small and layers err independently. A carrier is how values lie between
// layers: fp32, int8-dynamic and weight-only layers all hand on FP32. What leaves a kind of value and enters
// another is converted, by way of FP32, once for all that read it so. Source of the form: Dong et al.,
// "HAWQ-V3", arXiv:2011.10680, 3.4, without casts. Solved exactly, up to a gap of 0.01 %, by COIN-OR Cbc
// (branch and cut).
#pragma once

#include <array>
#include <string>
#include <vector>

#include "base/result.h"
#include "quant/recipe.h"

namespace narrow::search {

struct FormatCost {
  quant::NodeFormat format;
  double ms = 0, noise = 0;  // noise: of the outputs' power
  double bytes = 0;          // of its weights
};

struct MixLayer {
  std::string key, node;  // quant::key_of(), and the ONNX name
  std::vector<FormatCost> choices = {};
  /// A norm or an attention (quant::FloatUnit), which may be several nodes: keys of all, and of those that
  /// get the format. Empty: the layer is one node.
  std::vector<std::string> nodes = {}, able = {};
};

/// How a layer's result lies in memory.
enum class Carrier : uint8_t { f32, f16, bf16, u8 };
constexpr size_t kCarriers = 4;
Carrier carrier_of(quant::NodeFormat format);

/// Milliseconds from a carrier to FP32 and back.
struct CastMs {
  double leave = 0, enter = 0;
};
/// By Carrier; FP32's are 0.
using CastCosts = std::array<CastMs, kCarriers>;

/// A value that goes from one layer to another and must be converted when their carriers differ. Edges of one
/// layer and one value (any number) are the readers of that value, and share their casts: a cast costs the
/// same on all of them, or nothing for a reader that makes it in passing.
struct MixEdge {
  size_t from = 0, to = 0;  // layers
  CastCosts ms = {};
  size_t value = 0;
};

struct MixProblem {
  std::vector<MixLayer> layers;
  std::vector<MixEdge> edges;
  double per_ms = 1, per_byte = 0;  // what is minimised
};

struct Mix {
  std::vector<size_t> choice = {};  // of each layer: an index of its choices
  double ms = 0, noise = 0;         // as the problem predicts them, casts included
  double bytes = 0, price = 0;
};

/// What a choice costs by the problem's figures.
Mix price(const MixProblem& problem, std::vector<size_t> choice);

/// Every layer in `format`; those that have no such choice in FP32 (in a build in w4a8: int8), or, without
/// it, in their first.
Mix uniform_mix(const MixProblem& problem, quant::NodeFormat format);

/// The mix of least price with at most so much noise. Deterministic. Errors: invalid_argument when not even
/// the quietest choices stay below the bound.
Result<Mix> best_mix(const MixProblem& problem, double noise_bound);

/// The mix of least noise whose price is at most so much: where it is too noisy, so is every other. Errors:
/// invalid_argument when there is none.
Result<Mix> quietest_mix(const MixProblem& problem, double price_bound);

/// best_mix() for bounds that halve from the noise of all choices together down to the least there is, each
/// mix once: the Pareto front of price and noise, cheapest first.
Result<std::vector<Mix>> pareto_front(const MixProblem& problem);

}  // namespace narrow::search
