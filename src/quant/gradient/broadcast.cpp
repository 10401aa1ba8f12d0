#include "quant/gradient/broadcast.h"

#include <algorithm>
#include <cstring>

namespace narrow::quant::gradient {

std::vector<int64_t> strides_as(const Shape& from, const Shape& to) {
  const std::vector<int64_t> dense = row_major_strides(from);
  std::vector<int64_t> strides(to.size(), 0);
  const size_t missing = to.size() - from.size();
  for (size_t i = 0; i < from.size(); ++i)
    if (from[i] != 1) strides[missing + i] = dense[i];
  return strides;
}

SumTo::SumTo(const Shape& from, const Shape& to) : elements_(elements_of(from)) {
  const size_t missing = from.size() - to.size();
  const auto summed = [&](size_t d) { return from[d] != 1 && (d < missing || to[d - missing] == 1); };
  // The last axes first: every pass leaves the axes before it as they are.
  int64_t inner = 1;
  for (size_t d = from.size(); d-- > 0;) {
    if (!summed(d)) {
      inner *= from[d];
      continue;
    }
    int64_t count = from[d];
    while (d > 0 && (summed(d - 1) || from[d - 1] == 1)) count *= from[--d];
    int64_t outer = 1;
    for (size_t before = 0; before < d; ++before) outer *= from[before];
    passes_.push_back({outer, count, inner});
  }
  for (size_t p = 0; p + 1 < passes_.size(); ++p)
    between_[p % 2].resize(
        std::max(between_[p % 2].size(), static_cast<size_t>(passes_[p].outer * passes_[p].inner)));
}

void SumTo::run(const float* src, float* dst, ThreadPool& pool) {
  if (passes_.empty()) std::memcpy(dst, src, static_cast<size_t>(elements_) * sizeof(float));
  for (size_t p = 0; p < passes_.size(); ++p) {
    const auto [outer, count, inner] = passes_[p];
    float* out = p + 1 == passes_.size() ? dst : between_[p % 2].data();
    const int64_t stripe = std::min<int64_t>(inner, 64), stripes = (inner + stripe - 1) / stripe;
    const int64_t grain = std::max<int64_t>(1, (16 << 10) / (count * stripe));
    parallel_for(pool, outer * stripes, grain, [&, count = count, inner = inner](int64_t begin, int64_t end) {
      double sums[64];
      for (int64_t task = begin; task < end; ++task) {
        const int64_t o = task / stripes, first = task % stripes * stripe;
        const int64_t width = std::min(stripe, inner - first);
        std::fill(sums, sums + width, 0.0);
        for (int64_t k = 0; k < count; ++k) {
          const float* row = src + (o * count + k) * inner + first;
          for (int64_t i = 0; i < width; ++i) sums[i] += static_cast<double>(row[i]);
        }
        for (int64_t i = 0; i < width; ++i) out[o * inner + first + i] = static_cast<float>(sums[i]);
      }
    });
    src = out;
  }
}

}  // namespace narrow::quant::gradient
