#include "kernels/lanes/element.h"
#include "kernels/matmul/matmul.h"

namespace narrow::kernels {

int64_t MatMulSpec::batches() const {
  int64_t count = 1;
  for (int d = 0; d < batch_rank; ++d) count *= batch[d];
  return count;
}

void matmul_reference(const MatMulSpec& s, const void* a, const void* b, void* c) {
  for (int64_t batch = 0; batch < s.batches(); ++batch) {
    int64_t rest = batch, a0 = 0, b0 = 0, c0 = 0;
    for (int d = s.batch_rank - 1; d >= 0; --d) {
      const int64_t i = rest % s.batch[d];
      rest /= s.batch[d];
      a0 += i * s.a_batch_strides[d], b0 += i * s.b_batch_strides[d], c0 += i * s.c_batch_strides[d];
    }
    for (int64_t i = 0; i < s.m; ++i)
      for (int64_t j = 0; j < s.n; ++j) {
        double sum = 0;
        for (int64_t k = 0; k < s.k; ++k)
          sum += static_cast<double>(load_real({s.a, {}}, a, a0 + i * s.a_stride_m + k * s.a_stride_k)) *
                 load_real({s.b, {}}, b, b0 + k * s.b_stride_k + j * s.b_stride_n);
        store_real({s.c, {}}, c, c0 + i * s.c_stride_m + j, static_cast<float>(s.alpha * sum));
      }
  }
}

}  // namespace narrow::kernels
