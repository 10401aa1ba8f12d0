// A few columns of a problem side by side, padded to a fixed number: inner loops have no tails.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace narrow::quant {

constexpr int64_t kBlock = 32;

/// [k, kBlock], zero where the matrix has no column.
class ColumnBlock {
 public:
  explicit ColumnBlock(int64_t k) : values_(static_cast<size_t>(k * kBlock), 0.0F) {}
  float* row(int64_t k) { return values_.data() + k * kBlock; }
  const float* row(int64_t k) const { return values_.data() + k * kBlock; }

  /// Columns [first, first + kBlock) of `matrix` [k, n].
  static ColumnBlock of(const std::vector<float>& matrix, int64_t k, int64_t n, int64_t first) {
    ColumnBlock block(k);
    const int64_t live = std::min(kBlock, n - first);
    for (int64_t i = 0; i < k; ++i) std::copy_n(matrix.data() + i * n + first, live, block.row(i));
    return block;
  }

 private:
  std::vector<float> values_;
};

/// y += a x
inline void add_scaled(float* y, float a, const float* x) {
  for (int64_t c = 0; c < kBlock; ++c) y[c] += a * x[c];
}

}  // namespace narrow::quant
