#include "quant/weights_apart.h"

#include <algorithm>

#include "base/result.h"
#include "numerics/fp16.h"

namespace narrow::quant {

std::vector<int64_t> WeightsApart::places() const {
  std::vector<int64_t> list;
  if (!gaps.defined()) return list;
  int64_t at = 0;
  for (const uint8_t gap : gaps.data<uint8_t>()) list.push_back(at += gap);
  return list;
}

WeightsApart make_apart(std::span<const int64_t> places) {
  if (places.empty()) return {};
  const Shape shape{std::ssize(places)};
  WeightsApart apart{.gaps = Tensor::allocate(DType::u8, shape), .values = Tensor::zeros(DType::f16, shape)};
  const auto gaps = apart.gaps.mutable_data<uint8_t>();
  int64_t before = 0;
  for (size_t i = 0; i < places.size(); ++i) {
    const int64_t gap = places[i] - before;
    NARROW_CHECK(gap >= (i == 0 ? 0 : 1) && gap <= kLargestGap);
    gaps[i] = static_cast<uint8_t>(gap);
    before = places[i];
  }
  return apart;
}

WeightsApart cloned(const WeightsApart& apart) {
  if (apart.count() == 0) return {};
  return {.gaps = apart.gaps.clone(), .values = apart.values.clone()};
}

float half_number(float x) { return static_cast<float>(f16(std::clamp(x, -f16::kMax, f16::kMax))); }

}  // namespace narrow::quant
