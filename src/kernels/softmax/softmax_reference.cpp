#include <cmath>
#include <limits>
#include <vector>

#include "kernels/lanes/element.h"
#include "kernels/softmax/softmax.h"

namespace narrow::kernels {

void softmax_reference(const SoftmaxSpec& spec, const void* src, void* dst) {
  std::vector<double> x(static_cast<size_t>(spec.columns));
  for (int64_t r = 0; r < spec.rows; ++r) {
    const int64_t first = r * spec.columns;
    double largest = -std::numeric_limits<double>::infinity(), sum = 0;
    for (int64_t i = 0; i < spec.columns; ++i) {
      x[static_cast<size_t>(i)] = load_real(spec.src, src, first + i);
      largest = std::fmax(largest, x[static_cast<size_t>(i)]);
    }
    for (const double value : x) sum += std::exp(value - largest);
    for (int64_t i = 0; i < spec.columns; ++i) {
      const double shifted = x[static_cast<size_t>(i)] - largest;
      store_real(spec.dst, dst, first + i,
                 static_cast<float>(spec.log ? shifted - std::log(sum) : std::exp(shifted) / sum));
    }
  }
}

}  // namespace narrow::kernels
