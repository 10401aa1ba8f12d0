// A graph with static shapes as a list of steps over one arena: chosen kernels, offsets, aliases. Immutable.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "ir/graph.h"
#include "parallel/thread_pool.h"
#include "runtime/kernel.h"
#include "runtime/session.h"
#include "runtime/slices.h"
#include "runtime/tactics.h"

namespace narrow::runtime {

/// Where a value's bytes are when the plan runs.
struct Location {
  enum class Kind : uint8_t { arena, input, output, constant } kind = Kind::arena;
  int64_t index = 0;                 // arena: byte offset; input, output: position in the graph's list
  int64_t offset = 0;                // bytes from there: of the rows of a band
  const Tensor* constant = nullptr;  // constant; null: nothing is read there
  int64_t pitch = 0;                 // elements from pixel to pixel where the value is part of a wider one
  int64_t slice_bytes = 0;           // from where one slice of the batch begins to where the next does
};

/// Of the arena, in bytes.
struct Move {
  int64_t from, to, bytes;
};

struct Step {
  const ir::Node* node;
  std::shared_ptr<const Kernel> kernel;  // null: the output is the input's memory, there is nothing to do
  std::vector<Location> inputs;          // absent inputs: constant null
  std::vector<Location> outputs;
  std::vector<Move> moves =
      {};  // before the step: rows kept of the band before, to the begin of their memory
  kernels::WeightStream next = {};  // fetched meanwhile
};

struct Plan {
  ir::Graph graph;                 // the engine's graph; steps point into it,
  std::deque<ir::Graph> of_slice;  // those of sliced sections into a copy for their images or rows
  std::vector<Section> sections;   // of the graph's nodes
  std::vector<Step> steps;         // of sections in bands, band after band
  /// Steps [first, end), so many times: slice after slice of the batch.
  struct Loop {
    size_t first = 0, end = 0;
    int64_t count = 1;
  };
  std::vector<Loop> loops;
  /// Outputs that share memory with an input, a constant or another output: copied from there at the end.
  struct Copy {
    Location from;
    int64_t output;
    int64_t bytes;
  };
  std::vector<Copy> copies;
  int64_t arena_bytes = 0, scratch_bytes = 0;
  PlanInfo info;
};

struct PlanOptions {
  Isa isa;
  int threads;
  bool reference_only = false;
  const Tactics* tactics = nullptr;  // timed on this machine; null: the order of the tables
  SliceOptions slices = {};          // of large batches and images
};

/// `graph`: what the engine passes left, all types static. `pool` packs weights; what is made does not depend
/// on it. Errors: unsupported, naming the node, its types and why each candidate refused.
Result<std::shared_ptr<const Plan>> make_plan(ir::Graph graph, const PlanOptions& options, PackCache& packs,
                                              ThreadPool& pool);

}  // namespace narrow::runtime
