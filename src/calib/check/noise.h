// How far two sets would be apart by chance, if both were drawn from the same source.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "calib/check/compare.h"

namespace narrow::calib {

/// How many groups a set of n samples is cut into when the other has m, and how many samples are in one.
/// Groups of both sets are of one size, or shuffling them would say nothing; the smaller set has at least
/// kLeastGroups where it has as many samples.
struct Grouping {
  int64_t groups = 1, size = 1;
};
constexpr int64_t kLeastGroups = 32, kMostGroups = 128;
Grouping grouping_of(int64_t n, int64_t m);

/// The largest figure among rounds in which the groups of both sets were mixed and dealt out again: a
/// permutation test at 1 / (kRounds + 1) (Good, "Permutation, Parametric and Bootstrap Tests of Hypotheses",
/// 2005). Samples are the units that are dealt, so values of one sample may depend on each other as they
/// like.
struct NoiseFloor {
  double psi = 0, ks = 0;
};
constexpr int kRounds = 500;
NoiseFloor noise_floor(std::span<const Counts> a, std::span<const Counts> b, uint64_t seed);

/// Orders of [0, count) to deal by, the same for every value of a model.
std::vector<std::vector<int32_t>> shuffles(int64_t count, int rounds, uint64_t seed);

}  // namespace narrow::calib
