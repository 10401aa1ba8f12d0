// How int8 weights lie for one instruction set, and which bytes of the source one sum runs over.
#pragma once

#include <cstdint>

#include "base/aligned.h"
#include "kernels/conv/conv.h"
#include "kernels/conv/s8_columns.h"
#include "kernels/conv/walk_layout.h"

namespace narrow::kernels {

/// The register tile of one instruction set, of bytes.
struct S8Tile : ConvTile {
  int64_t merge;       // groups are put together while their channels stay within this
  bool shifts_signed;  // s8 sources are read as u8 with 128 added
  bool interleaves;    // kernel rows of few channels share a step
  int64_t element;     // bytes of a source element where the kernel reads it: 2 when a copy widens it
};

/// Small groups are put together as one dense product with zeros off the diagonal: 64 channels cost AMX as
/// much as 4. Runs are padded to whole steps; weights there are zero, so the kernels may read whatever
/// follows the run.
ConvLayout s8_layout(const ConvSpec& spec, const S8Tile& tile);

/// Weights as [group][panel][steps][columns / 16][weights of a column and step / 4][16][4] (2 instead of 4
/// where a step has 2), and the sums of columns, all of which a file may keep; what is made of the latter.
class S8Packed : public PackedWeights {
 public:
  S8Packed(const ConvSpec& spec, const ConvWeights& source, const S8Tile& tile);
  int64_t bytes() const override { return weights_.bytes() + columns_.bytes(); }
  std::vector<std::span<const std::byte>> stored() const override;

  const ConvLayout& layout() const { return layout_; }
  const int8_t* weights() const { return weights_.as<int8_t>(); }
  const S8Columns& columns() const { return columns_; }

 private:
  ConvLayout layout_;
  AlignedBuffer weights_, sums_;
  S8Columns columns_;
};

std::vector<int64_t> s8_stored_sizes(const ConvSpec& spec, const S8Tile& tile);
void s8_unpack(const ConvSpec& spec, const S8Tile& tile, std::span<const AlignedBuffer> parts,
               std::byte* weights);

}  // namespace narrow::kernels
