#include <cmath>
#include <vector>

#include "kernels/lanes/element.h"
#include "kernels/norm/norm.h"

namespace narrow::kernels {

void norm_reference(const NormSpec& spec, const NormBuffers& b) {
  const int64_t n = spec.columns;
  std::vector<float> x(static_cast<size_t>(n));
  for (int64_t r = 0; r < spec.rows; ++r) {
    double mean = 0, spread = 0;
    for (int64_t i = 0; i < n; ++i) {
      float& value = x[static_cast<size_t>(i)];
      value = load_real(spec.src, b.src, r * n + i);
      if (spec.residual != DType::undefined) value += load_real({spec.residual, {}}, b.residual, r * n + i);
      if (!spec.rms) mean += value;
    }
    mean /= static_cast<double>(n);
    for (const float value : x) spread += (value - mean) * (value - mean);
    const double inverse = 1 / std::sqrt(spread / static_cast<double>(n) + static_cast<double>(spec.epsilon));
    for (int64_t i = 0; i < n; ++i) {
      const float value = x[static_cast<size_t>(i)];
      if (spec.sum != DType::undefined) store_real({spec.sum, {}}, b.sum, r * n + i, value);
      double y = (value - mean) * inverse;
      if (b.gamma != nullptr) y *= b.gamma[i];
      if (b.beta != nullptr) y += b.beta[i];
      store_real(spec.dst, b.dst, r * n + i, static_cast<float>(y));
    }
  }
}

}  // namespace narrow::kernels
