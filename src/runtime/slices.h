// Which steps run a few images of a batch, or a few rows of one image, at a time, one slice after the other,
// so that what they hand each other stays in the cores' caches.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "ir/graph.h"

namespace narrow::runtime {

/// Steps [first, end), run `count` times on `images` each; count 1: once, on whatever the batch is. With more
/// than one band each run is of one image, and goes through the steps band by band (bands.h).
struct Section {
  size_t first = 0, end = 0;
  int64_t count = 1, images = 0, bands = 1;

  bool is_sliced() const { return count > 1 || is_banded(); }
  bool is_banded() const { return bands > 1; }
  int64_t runs() const { return count * bands; }
};

/// What counts, in bytes that a core could have read from L3 meanwhile; measured on networks at batch 32.
struct SliceOptions {
  int64_t cache_bytes = 0;  // of one core that its share of a slice has to fit; 0: nothing is sliced
  double fits = 1;          // up to how many times cache_bytes
  double step = 250e3;      // starting a step
  double pass = 8;          // each byte that one section writes, into lines no cache holds, for another
  /// Bands only where what is alive of an image is that many times the cores' caches: with less, what comes
  /// from L3 is fetched in time by itself, and each band's start costs more than it saves.
  double bands_from = 4;

  /// The same, and no bands.
  SliceOptions without_bands() const {
    SliceOptions options = *this;
    options.bands_from = std::numeric_limits<double>::infinity();
    return options;
  }
};

/// Sections in order that cover `order`. Sliced are runs of steps that treat images alike and apart (rank 4,
/// the batch first), in bands those that look at rows around their own only, where the traffic saved,
/// activations that no longer leave the caches, is more than the traffic added, weights read once per slice.
/// Images at a time divide the batch. `graph`: the engine's, all types static.
std::vector<Section> plan_slices(const ir::Graph& graph, const std::vector<ir::Node*>& order,
                                 const SliceOptions& options, int threads);

/// Of those that plans slice: every element of the output comes of the elements in its place.
bool is_elementwise(ir::Op op);

bool has_bands(const std::vector<Section>& sections);

/// The graph with `images` in place of the batch in every activation of the sections that take so many at a
/// time: node by node the same otherwise.
ir::Graph slice_graph(const ir::Graph& graph, const std::vector<Section>& sections, int64_t images);

}  // namespace narrow::runtime
