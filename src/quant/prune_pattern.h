// Which weights of a matrix may become zero together, and how many of them.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "quant/heavy_shape.h"

namespace narrow::quant {

/// Of a matrix [k, n] (heavy_shape.h) a unit is zero as a whole: `block` weights that follow each other in k
/// within one kernel position, the last of a position perhaps shorter.
struct PrunePattern {
  double sparsity = 0.5;  // share of the weights; with `m` it is 1 - n / m
  int64_t block = 1;
  int64_t n = 2, m = 0;  // of each m weights that follow each other in k, n stay; m 0: no such rule

  double zeros() const { return m > 0 ? 1 - static_cast<double>(n) / static_cast<double>(m) : sparsity; }
};

/// "2 of each 4 weights", "half of the weights in blocks of 16".
std::string to_string(const PrunePattern& pattern);
/// Why a layer of this shape cannot have the pattern; empty when it can.
std::string unsuited(const PrunePattern& pattern, const HeavyShape& shape);

/// Rows [begin, end) of k that are zero or not, together, in one column.
struct PruneUnit {
  int64_t begin, end;
};
/// Units in the order of k.
std::vector<PruneUnit> units_of(const PrunePattern& pattern, const HeavyShape& shape);

/// Chooses among units [first, end) of n columns; scores: what the zeros of a unit would cost, [units, n].
/// Units of score 0 always go. One byte each, 1: kept. With m every column keeps n of the units; otherwise as
/// many weights go as the share asks for, the cheapest by score for each weight of the unit. Ties: the
/// earliest.
std::vector<uint8_t> keep_units(const PrunePattern& pattern, std::span<const PruneUnit> units,
                                std::span<const double> scores, int64_t n);

}  // namespace narrow::quant
