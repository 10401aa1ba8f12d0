// Broadcasting and its way back.
#pragma once

#include <functional>
#include <vector>

#include "parallel/thread_pool.h"
#include "tensor/tensor.h"

namespace narrow::quant::gradient {

/// Strides that read a tensor of shape `from` as one of shape `to` (NumPy rules): 0 along broadcast axes.
std::vector<int64_t> strides_as(const Shape& from, const Shape& to);

/// Sums a tensor of shape `from` over the axes along which `to` broadcasts to it. One object per thread of
/// calls: it owns what lies between its passes.
class SumTo {
 public:
  SumTo(const Shape& from, const Shape& to);
  /// The shapes have as many elements: nothing is summed.
  bool is_identity() const { return passes_.empty(); }
  void run(const float* src, float* dst, ThreadPool& pool);

 private:
  struct Pass {
    int64_t outer, count, inner;  // [outer, count, inner] -> [outer, inner]
  };
  std::vector<Pass> passes_;
  std::vector<float> between_[2];
  int64_t elements_;
};

/// visit(index in `to`, offset in a, offset in b) over [begin, end) of the elements of `to`, row-major.
template <class Visit>
void walk_pairs(const Shape& to, const std::vector<int64_t>& a, const std::vector<int64_t>& b, int64_t begin,
                int64_t end, Visit visit) {
  std::vector<int64_t> index(to.size(), 0);
  int64_t rest = begin, at_a = 0, at_b = 0;
  for (size_t d = to.size(); d-- > 0;) {
    index[d] = rest % to[d], rest /= to[d];
    at_a += index[d] * a[d], at_b += index[d] * b[d];
  }
  for (int64_t i = begin; i < end; ++i) {
    visit(i, at_a, at_b);
    for (size_t d = to.size(); d-- > 0;) {
      at_a += a[d], at_b += b[d];
      if (++index[d] < to[d]) break;
      at_a -= a[d] * to[d], at_b -= b[d] * to[d];
      index[d] = 0;
    }
  }
}

}  // namespace narrow::quant::gradient
