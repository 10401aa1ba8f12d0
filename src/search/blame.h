// Is the loss of a build the fault of a few layers, or the sum of many?
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace narrow::search {

/// What one layer brings to the outputs of a build, measured by widening it alone.
struct Contribution {
  std::string node;
  double noise = 0;  // noise power at the outputs with every layer narrow, less that without this one; >= 0
};

struct Blame {
  enum class Kind : uint8_t { none, isolated, accumulated } kind = Kind::none;
  std::vector<Contribution> worst;  // most first
  double share = 0;  // of the noise at the outputs that the few worst (isolated), or the worst three, bring
  std::string text;  // in words, with figures
};

/// Errors of different layers are nearly independent, so their powers add at the outputs:
///   N = sum_i c_i,   c_i = N - N(layer i wide).
/// isolated: at most three layers whose c_i add up to half of N; then mending them halves the noise, 3 dB.
/// accumulated: no three do. none: there is no noise.
///
/// noise    N, power at the outputs as a share of FP32's.
/// measured the layers that were widened alone, in any order; layers that were not count as the rest.
/// layers   how many layers are narrow.
/// Source: additive noise model of quantization, Widrow and Kollar, "Quantization Noise", 2008, chapter 4.
Blame blame(double noise, std::vector<Contribution> measured, int64_t layers);

}  // namespace narrow::search
