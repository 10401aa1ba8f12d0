// The matrix product loops behind MatMul, MatMulInteger and QLinearMatMul.
#pragma once

#include "runtime/reference/common.h"

namespace narrow::runtime::reference {

/// numpy.matmul: batches broadcast, a rank 1 operand gains an axis that the result loses again.
struct Product {
  int64_t m = 1, k = 1, n = 1;
  Shape batch, a_batch, b_batch;
  Shape result;
};
Result<Product> product_of(const ir::Node& node, const Shape& a, const Shape& b);

/// store(row, acc) receives each row of the result (batch * m of them), n sums.
template <class Acc, class In, class Store>
void multiply(const Product& p, const In* a, const In* b, Store&& store) {
  std::vector<Acc> acc(static_cast<size_t>(p.n));
  walk<2>(p.batch, {broadcast_strides(p.a_batch, p.batch), broadcast_strides(p.b_batch, p.batch)},
          [&](int64_t batch, const auto& at) {
            const In* left = a + at[0] * p.m * p.k;
            const In* right = b + at[1] * p.k * p.n;
            for (int64_t i = 0; i < p.m; ++i) {
              std::fill(acc.begin(), acc.end(), Acc{0});
              for (int64_t k = 0; k < p.k; ++k) {
                const auto x = static_cast<Acc>(left[i * p.k + k]);
                for (int64_t j = 0; j < p.n; ++j)
                  acc[static_cast<size_t>(j)] += x * static_cast<Acc>(right[k * p.n + j]);
              }
              store(batch * p.m + i, acc.data());
            }
          });
}

}  // namespace narrow::runtime::reference
