// Float filters of 3x3 as f32_winograd.h wants them.
#pragma once

#include <cstdint>

#include "kernels/conv/conv.h"

namespace narrow::kernels {

/// Filters [panel][c][9][width of the panel] of the weights' own type, which a file may keep: they are
/// transformed where they are read.
class F32WinogradWeights final : public PackedWeights {
 public:
  /// `columns`: of a panel; the last one is half as wide if that is enough.
  F32WinogradWeights(const ConvSpec& spec, const ConvWeights& source, int64_t columns);
  int64_t bytes() const override { return g_.bytes() + bias_.bytes(); }
  std::vector<std::span<const std::byte>> stored() const override {
    return {{g_.data(), static_cast<size_t>(g_.bytes())}};
  }

  DType type() const { return type_; }
  int64_t panels() const;
  int64_t width(int64_t panel) const;
  /// Of a panel, from a channel on.
  const char* filters(int64_t panel, int64_t channel) const;
  const float* bias(int64_t panel) const { return bias_.as<float>() + panel * columns_; }

 private:
  DType type_;
  int64_t channels_, outputs_, columns_;
  AlignedBuffer g_, bias_;
};

int64_t f32_winograd_stored_size(const ConvSpec& spec, int64_t columns);
/// `filters` of f32_winograd_stored_size() bytes to weights [oc, c, 3, 3].
void f32_winograd_unpack(const ConvSpec& spec, int64_t columns, const AlignedBuffer& filters,
                         std::byte* weights);

}  // namespace narrow::kernels
