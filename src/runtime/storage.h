// Which values share memory, and where each piece of memory is.
#pragma once

#include <functional>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "ir/graph.h"
#include "runtime/bands.h"
#include "runtime/plan.h"
#include "runtime/slices.h"

namespace narrow::runtime {

struct Storage {
  std::unordered_map<const ir::Value*, Location> locations;
  std::unordered_set<const ir::Node*>
      aliases;  // nodes that need no step: their output is their input's memory
  /// Of Concats: inputs that lie in the output already; of Splits: outputs that lie in the input.
  std::unordered_map<const ir::Node*, std::vector<bool>> placed;
  std::unordered_set<const ir::Value*> of_slice;  // memory for one slice of a section, not for the batch
  /// Of a value that only one section in bands touches: the rows its memory holds during each.
  struct Held {
    int64_t begin;  // in the arena
    std::vector<Rows> rows;
  };
  std::unordered_map<const ir::Value*, Held> held;
  std::vector<Plan::Copy> copies;
  int64_t arena_bytes = 0, lower_bound = 0;

  const Location& at(const ir::Value* value) const { return locations.at(value); }
  bool is_alias(const ir::Node& node) const { return aliases.contains(&node); }
  int64_t pitch_of(const ir::Value* value) const { return value != nullptr ? at(value).pitch : 0; }
};

/// Elements from pixel to pixel of a node's first input and of its output, in wider tensors; 0: their own.
struct Pitches {
  int64_t src = 0, dst = 0;
};

/// Whether a kernel of the node reads and writes pixels that far apart.
using CanPitch = std::function<bool(const ir::Node& node, const Pitches& pitches)>;

/// Reshape-like nodes become aliases; a fused residual whose last reader is the node is overwritten in place;
/// the rest is packed by plan_memory(). What only steps of one sliced section touch has room for one slice,
/// of bands for the rows alive at a time. Inputs of a Concat of channels lie in its output where those who
/// make them can write them there and those who read them find them; it is an alias where all do. So Concats
/// of Concats share one piece of memory. What a Split or a Slice of channels gives lies in its input where
/// those who read it find it there.
Storage assign_storage(const ir::Graph& graph, const std::vector<ir::Node*>& order,
                       const std::vector<Section>& sections, const CanPitch& can_pitch);

}  // namespace narrow::runtime
