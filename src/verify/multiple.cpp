#include "verify/multiple.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace narrow::verify {

std::vector<int64_t> holm_divisors(const std::vector<double>& p, int64_t others, double alpha) {
  std::vector<size_t> order(p.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return p[a] < p[b]; });
  std::vector<int64_t> divisors(p.size());
  int64_t divisor = static_cast<int64_t>(p.size()) + others;
  bool holds = true;
  for (const size_t i : order) {
    divisors[i] = divisor;
    holds = holds && p[i] <= alpha / static_cast<double>(divisor);
    if (holds) --divisor;
  }
  return divisors;
}

double selection_bias(double deviation, int64_t samples, int64_t tried) {
  if (tried < 2 || samples < 1) return 0;
  return deviation / std::sqrt(static_cast<double>(samples)) *
         std::sqrt(2 * std::log(static_cast<double>(tried)));
}

}  // namespace narrow::verify
