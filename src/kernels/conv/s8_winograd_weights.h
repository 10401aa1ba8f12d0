// Int8 filters of 3x3 as s8_winograd.h wants them.
#pragma once

#include <cstdint>

#include "kernels/conv/conv.h"
#include "kernels/conv/s8_columns.h"

namespace narrow::kernels {

/// Transformed filters [panel][36][c / 2][columns][2]. Eight times the bytes of the filters, so files keep
/// these and they are transformed at each start.
class S8WinogradWeights final : public PackedWeights {
 public:
  /// `columns`: of a panel, 16 or 32.
  S8WinogradWeights(const ConvSpec& spec, const ConvWeights& source, int64_t columns);
  int64_t bytes() const override { return u_.bytes() + columns_.bytes(); }

  const int16_t* panel(int64_t index) const;
  int64_t panels() const { return panels_; }
  int64_t point_elements() const { return point_; }  // from one of the 36 to the next
  /// How many pairs of channels may be summed before outputs are made of the sums.
  int64_t pairs_at_once() const { return pairs_at_once_; }
  const S8Columns& columns() const { return columns_; }

 private:
  S8WinogradWeights(const ConvSpec& spec, const ConvWeights& source, const S8Places& places,
                    const AlignedBuffer& sums);

  int64_t panels_ = 0, point_ = 0;
  AlignedBuffer u_;
  S8Columns columns_;
  int64_t pairs_at_once_;
};

}  // namespace narrow::kernels
