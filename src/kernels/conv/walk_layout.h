// How the weights of a walk lie, and which bytes of the source one sum runs over.
#pragma once

#include <cstdint>

#include "base/aligned.h"

namespace narrow::kernels {

/// The register tile of one instruction set.
struct ConvTile {
  int64_t rows;     // output pixels
  int64_t columns;  // output channels, a multiple of 16
  int64_t depth;    // bytes of the source per step of K
};

/// One sum of products runs over `segments` runs of contiguous source bytes: one run per tap (its channels),
/// one per kernel row where the taps of a row touch, or one per `rows_per_segment` kernel rows where the copy
/// of the source interleaves them, pixel by pixel. Each run is whole steps.
struct ConvLayout {
  ConvTile tile{};
  int64_t groups = 1, group_bytes = 1, outputs = 1;  // bytes of a pixel and outputs, per group
  int64_t panels = 1;                                // of tile.columns outputs, per group
  int64_t rows_per_segment = 1, taps_per_segment = 1, segments = 1;
  int64_t segment_bytes = 4;
  int64_t widening = 1;  // bytes of the copied source for each of the weights
  int64_t planes = 1;    // parts that numbers are split into: steps of B side by side, copies of the source

  int64_t depth() const { return segments * segment_bytes; }
  int64_t panel_bytes() const { return depth() / widening * tile.columns * planes; }
  int64_t padded_outputs() const { return panels * tile.columns; }
  int64_t weight_bytes() const { return groups * panels * panel_bytes(); }
  int64_t columns() const { return groups * padded_outputs(); }
};

}  // namespace narrow::kernels
