// MatMul and Gemm.
#include <fmt/format.h>

#include "runtime/reference/functions.h"
#include "runtime/reference/multiply.h"

namespace narrow::runtime::reference {

Result<Product> product_of(const ir::Node& node, const Shape& a, const Shape& b) {
  const auto misfit = [&] {
    return invalid(node, "matrices [.., m, k] and [.., k, n]",
                   fmt::format("{} and {}", to_string(a), to_string(b)));
  };
  if (a.empty() || b.empty()) return misfit();
  Product p;
  p.m = a.size() > 1 ? a[a.size() - 2] : 1;
  p.k = a.back();
  p.n = b.size() > 1 ? b.back() : 1;
  if (p.k != (b.size() > 1 ? b[b.size() - 2] : b[0])) return misfit();
  if (a.size() > 2) p.a_batch.assign(a.begin(), a.end() - 2);
  if (b.size() > 2) p.b_batch.assign(b.begin(), b.end() - 2);
  NARROW_TRY(p.batch, broadcast_shape(node, p.a_batch, p.b_batch));
  p.result = p.batch;
  if (a.size() > 1) p.result.push_back(p.m);
  if (b.size() > 1) p.result.push_back(p.n);
  return p;
}

Outputs eval_matmul(const ir::Node& node, Inputs inputs) {
  const Tensor &a = *inputs[0], &b = *inputs[1];
  if (a.dtype() != b.dtype()) return wrong_type(node, b.dtype());
  NARROW_TRY(const Product p, product_of(node, a.shape(), b.shape()));
  NARROW_TRY(Tensor y, make_tensor(node, a.dtype(), p.result));
  return for_numbers(node, a.dtype(), [&](auto tag) -> Outputs {
    using T = decltype(tag);
    multiply<Sum<T>>(p, a.data<T>().data(), b.data<T>().data(), [&](int64_t row, const Sum<T>* acc) {
      T* to = y.mutable_data<T>().data() + row * p.n;
      for (int64_t j = 0; j < p.n; ++j) to[j] = static_cast<T>(acc[j]);
    });
    return one(std::move(y));
  });
}

/// y = alpha A' B' + beta C; C broadcasts to [m, n].
Outputs eval_gemm(const ir::Node& node, Inputs inputs) {
  const Tensor* c = optional_input(inputs, 2);
  if (inputs[0]->rank() != 2 || inputs[1]->rank() != 2 || inputs[0]->dtype() != inputs[1]->dtype() ||
      (c != nullptr && c->dtype() != inputs[0]->dtype()))
    return invalid(node, "matrices of one type", "something else");
  const std::vector<int64_t> swap = {1, 0}, keep = {0, 1};
  NARROW_TRY(const Tensor a, permute(node, *inputs[0], node.int_attr("transA", 0) != 0 ? swap : keep));
  NARROW_TRY(const Tensor b, permute(node, *inputs[1], node.int_attr("transB", 0) != 0 ? swap : keep));
  NARROW_TRY(const Product p, product_of(node, a.shape(), b.shape()));
  if (c != nullptr && !broadcasts_to(c->shape(), p.result))
    return invalid(node, "C that broadcasts to " + to_string(p.result), to_string(c->shape()));
  NARROW_TRY(Tensor y, make_tensor(node, a.dtype(), p.result));
  const double alpha = node.float_attr("alpha", 1), beta = node.float_attr("beta", 1);
  const std::vector<int64_t> strides = c != nullptr ? broadcast_strides(c->shape(), p.result) : Shape{0, 0};
  return for_numbers(node, a.dtype(), [&](auto tag) -> Outputs {
    using T = decltype(tag);
    using Acc = std::conditional_t<std::is_floating_point_v<T>, double, int64_t>;
    multiply<Acc>(p, a.data<T>().data(), b.data<T>().data(), [&](int64_t row, const Acc* acc) {
      T* to = y.mutable_data<T>().data() + row * p.n;
      for (int64_t j = 0; j < p.n; ++j) {
        double sum = alpha * static_cast<double>(acc[j]);
        if (c != nullptr)
          sum += beta *
                 static_cast<double>(c->data<T>()[static_cast<size_t>(row * strides[0] + j * strides[1])]);
        to[j] = static_cast<T>(sum);
      }
    });
    return one(std::move(y));
  });
}

}  // namespace narrow::runtime::reference
