#include <cmath>

#include "kernels/reduce/reduce.h"
#include "kernels/reduce/runs.h"

namespace narrow::kernels {
namespace {

double step(Reduction kind, double acc, float value) {
  const double x = value;
  switch (kind) {
    case Reduction::sum:
    case Reduction::mean:
      return acc + x;
    case Reduction::l1:
      return acc + std::fabs(x);
    case Reduction::l2:
    case Reduction::sum_square:
      return acc + x * x;
    case Reduction::max:
      return std::isnan(acc) || acc > x ? acc : x;
    case Reduction::min:
      return std::isnan(acc) || acc < x ? acc : x;
  }
  return 0;
}

}  // namespace

void reduce_reference(const ReduceSpec& spec, const float* x, float* y) {
  for (int64_t o = 0; o < spec.outer; ++o)
    for (int64_t i = 0; i < spec.inner; ++i) {
      double acc = spec.kind == Reduction::max ? -HUGE_VAL : spec.kind == Reduction::min ? HUGE_VAL : 0;
      for (int64_t r = 0; r < spec.reduced; ++r)
        acc = step(spec.kind, acc, x[(o * spec.reduced + r) * spec.inner + i]);
      if (spec.kind == Reduction::mean) acc /= static_cast<double>(spec.reduced);
      if (spec.kind == Reduction::l2) acc = std::sqrt(acc);
      y[o * spec.inner + i] = static_cast<float>(acc);
    }
}

}  // namespace narrow::kernels
