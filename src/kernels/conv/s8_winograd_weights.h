// Int8 filters of 3x3 as s8_winograd.h wants them.
#pragma once

#include <cstdint>

#include "kernels/conv/conv.h"
#include "kernels/conv/s8_columns.h"

namespace narrow::kernels {

/// Filters [panel][c / 2][9][columns][2] and the sums of columns, both of which a file may keep; what is made
/// of the latter. Filters are transformed where they are read: transformed they are eight times the bytes.
class S8WinogradWeights final : public PackedWeights {
 public:
  /// `columns`: of a panel.
  S8WinogradWeights(const ConvSpec& spec, const ConvWeights& source, int64_t columns);
  int64_t bytes() const override { return g_.bytes() + columns_.bytes(); }
  std::vector<std::span<const std::byte>> stored() const override;

  /// Filters of a panel from a channel on, that being even.
  const int8_t* filters(int64_t panel, int64_t channel) const;
  int64_t panels() const { return panels_; }
  /// How many pairs of channels may be summed before outputs are made of the sums.
  int64_t pairs_at_once() const { return pairs_at_once_; }
  const S8Columns& columns() const { return columns_; }

 private:
  int64_t channels_, panel_columns_, panels_;
  AlignedBuffer g_, sums_;
  S8Columns columns_;
  int64_t pairs_at_once_;
};

std::vector<int64_t> s8_winograd_stored_sizes(const ConvSpec& spec, int64_t columns);
/// Parts as s8_winograd_stored_sizes() says, to weights [oc, c, 3, 3].
void s8_winograd_unpack(const ConvSpec& spec, int64_t columns, std::span<const AlignedBuffer> parts,
                        std::byte* weights);

}  // namespace narrow::kernels
