// A section of a plan in bands: some rows of an image go through all of its steps before the next rows do, so
// that what the steps hand each other stays in the cores' caches however large the image is. No row is
// computed twice: of what a window reaches back to, the rows are kept from band to band.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "ir/graph.h"
#include "runtime/slices.h"

namespace narrow::runtime {

/// [first, end) of the second of four axes.
struct Rows {
  int64_t first = 0, end = 0;

  int64_t count() const { return end - first; }
  bool operator==(const Rows&) const = default;
};

/// What a step does in one band.
struct BandStep {
  Rows out;
  std::vector<Rows> in;                 // of each input; of constants none
  int64_t pad_top = 0, pad_bottom = 0;  // rows of the window that lie outside of the image

  bool operator==(const BandStep&) const = default;
};

struct BandPlan {
  std::vector<std::vector<BandStep>> bands;  // [band][step of the section]
  /// Of every value made in the section: the rows that in each band are already made and still read here.
  std::unordered_map<const ir::Value*, std::vector<Rows>> held;
};

/// Whether rows of the node's one output need rows around their own only, channels last.
bool can_band(const ir::Node& node);

/// How many rows of its section's values each of section.bands does. The nodes are such that can_band().
BandPlan plan_bands(const ir::Graph& graph, const std::vector<ir::Node*>& order, const Section& section);

/// The node alone, for the rows of one band of one image.
ir::Graph band_graph(const ir::Node& node, const BandStep& band);

}  // namespace narrow::runtime
