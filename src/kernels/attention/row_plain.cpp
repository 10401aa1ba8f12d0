#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/attention/row.h"

namespace narrow::kernels {

float attention_row_plain(float* s, int64_t n, float scale, const float* mask) {
  constexpr float kLowest = -std::numeric_limits<float>::infinity();
  float largest = kLowest, sum = 0;
  for (int64_t j = 0; j < n; ++j) {
    s[j] = s[j] * scale + (mask != nullptr ? mask[j] : 0.0F);
    largest = s[j] > largest ? s[j] : largest;
  }
  if (largest == kLowest) {
    std::fill(s, s + n, 0.0F);
    return 0;
  }
  for (int64_t j = 0; j < n; ++j) sum += s[j] = std::exp(s[j] - largest);
  return sum;
}

}  // namespace narrow::kernels
