#include <cmath>

#include "kernels/lanes/element.h"
#include "kernels/norm/group_norm.h"

namespace narrow::kernels {

void group_norm_reference(const GroupNormSpec& spec, const GroupNormBuffers& b) {
  const int64_t width = spec.channels / spec.groups;
  const auto count = static_cast<double>(spec.pixels * width);
  for (int64_t n = 0; n < spec.images; ++n)
    for (int64_t g = 0; g < spec.groups; ++g) {
      const auto each = [&](auto f) {
        for (int64_t p = 0; p < spec.pixels; ++p)
          for (int64_t c = g * width; c < (g + 1) * width; ++c) {
            const int64_t i = (n * spec.pixels + p) * spec.channels + c;
            f(i, c, static_cast<double>(load_real(spec.src, b.src, i)));
          }
      };
      double mean = 0, spread = 0;
      each([&](int64_t, int64_t, double x) { mean += x / count; });
      each([&](int64_t, int64_t, double x) { spread += (x - mean) * (x - mean); });
      const double inverse = 1 / std::sqrt(spread / count + static_cast<double>(spec.epsilon));
      each([&](int64_t i, int64_t c, double x) {
        double y = (x - mean) * inverse;
        if (b.gamma != nullptr) y *= b.gamma[c];
        if (b.beta != nullptr) y += b.beta[c];
        store_real(spec.dst, b.dst, i, static_cast<float>(y));
      });
    }
}

}  // namespace narrow::kernels
