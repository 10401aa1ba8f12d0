// Is the loss of a build the fault of a few layers, or the sum of many?
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace narrow::search {

/// Layers that may be called a few.
constexpr size_t kFew = 3;

/// What one layer brings to the outputs of a build, measured by widening it alone.
struct Contribution {
  std::string node;
  double noise = 0;  // noise power at the outputs with every layer narrow, less that without this one; >= 0
};

struct Blame {
  enum class Kind : uint8_t { none, isolated, accumulated } kind = Kind::none;
  std::vector<Contribution> worst;  // most first
  double share = 0;                 // of the noise at the outputs that the few worst bring together
  std::string text;                 // in words, with figures
};

/// Errors of different layers are nearly independent, so their powers add at the outputs, N = sum_i c_i with
/// c_i = N - N(layer i wide); where errors are large they do not quite, so sets are measured as sets.
/// isolated: at most three layers that bring half of N together; mending them gains 3 dB or more.
/// accumulated: no three of the worst do. none: there is no noise.
///
/// noise     N, power at the outputs as a share of FP32's.
/// ranked    the layers that were widened alone, ranked.
/// together  what the first 1, 2, ... kFew of them bring when widened together; as many as were measured.
/// layers    how many layers are narrow.
/// Source: additive noise model of quantization, Widrow and Kollar, "Quantization Noise", 2008, chapter 4.
Blame blame(double noise, std::vector<Contribution> ranked, const std::vector<double>& together,
            int64_t layers);

}  // namespace narrow::search
