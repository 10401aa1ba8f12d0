// What a node is asked to do, in multiply-adds and bytes, and how fast the machine's ceilings let it be.
#pragma once

#include <cstdint>
#include <string>

#include "base/cpu.h"
#include "ir/graph.h"

namespace narrow::bench {

/// Multiply-adds of one node with static types, as the plain algorithm has them (Winograd does fewer, a mask
/// spares none); 0 for nodes that are not convolutions, products, attention or recurrent layers.
/// Stays at INT64_MAX when there are more.
int64_t macs_of(const ir::Node& node);

/// The sum, INT64_MAX when it does not fit.
int64_t add_counts(int64_t a, int64_t b);

/// Bytes the node cannot help moving: each input and each output once, weights and constants in their element
/// type. Of a table it picks from (Gather, Slice) as much as it picks. 0 for a type whose shape is not known.
int64_t bytes_moved(const ir::Node& node);

/// What the products of a step are computed in. none: there are no products.
/// bf16x3: FP16 numbers as two bf16 numbers, three products for one.
enum class Arithmetic : uint8_t { none, fp32, bf16, bf16x3, int8 };
const char* to_string(Arithmetic arithmetic);  // "-" for none

/// `kernel`: the one that was chosen for the node. Half floats are widened to FP32 where `isa` has no tiles
/// for them.
Arithmetic arithmetic_of(const ir::Node& node, const std::string& kernel, Isa isa);

/// Measured ceilings of the machine, all threads that run; 0: not known. An operation is a multiplication or
/// an addition.
struct Roofs {
  double fp32_gops = 0, bf16_gops = 0, int8_gops = 0;
  double memory_gb_s = 0, cache_gb_s = 0;
  int64_t cache_bytes = 0;  // what a step touches may lie in the caches up to this size

  double gops(Arithmetic arithmetic) const;
  /// Of a step that moves so many bytes: the caches' when they fit there.
  double gb_s(int64_t bytes) const;
};

/// The higher of each: ceilings are measured more than once on a machine that drifts.
Roofs higher(const Roofs& a, const Roofs& b);

/// The least milliseconds that arithmetic alone and moving bytes alone would take; 0 when there is none of
/// it, or the roof is not known.
struct Bound {
  double compute_ms = 0, memory_ms = 0;
  /// Which is the longer: "compute", "cache", "memory"; "" when neither is known.
  std::string limit;
};
Bound bound_of(int64_t macs, int64_t bytes, Arithmetic arithmetic, const Roofs& roofs);

}  // namespace narrow::bench
