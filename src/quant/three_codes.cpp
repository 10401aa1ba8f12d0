#include "quant/three_codes.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <utility>
#include <vector>

namespace narrow::quant {

float scale_of_three_codes(std::span<const float> x, std::span<const float> importance) {
  std::vector<std::pair<float, float>> largest;  // |x|, h
  largest.reserve(x.size());
  for (size_t i = 0; i < x.size(); ++i)
    largest.emplace_back(std::fabs(x[i]), importance.empty() ? 1.0F : importance[i]);
  std::sort(largest.begin(), largest.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  double sum = 0, weight = 0, most = 0, scale = 0;
  for (const auto& [size, h] : largest) {
    sum += static_cast<double>(h) * static_cast<double>(size);
    weight += static_cast<double>(h);
    if (weight > 0 && sum * sum / weight > most) most = sum * sum / weight, scale = sum / weight;
  }
  return static_cast<float>(scale);
}

}  // namespace narrow::quant
