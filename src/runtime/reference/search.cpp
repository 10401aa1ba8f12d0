// Positions and running sums along an axis: ArgMax, ArgMin, TopK, CumSum.
#include <algorithm>
#include <functional>
#include <numeric>

#include "runtime/reference/functions.h"

namespace narrow::runtime::reference {
namespace {

/// A total order for sorting: NaN above every number.
template <class T>
bool above(T a, T b) {
  if (a != a) return b == b;
  return a > b;
}

/// Where each line along the axis has its best element.
template <class Better>
Outputs arg_best(const ir::Node& node, const Tensor& x, Better better) {
  NARROW_TRY(const int64_t axis, normal_axis(node, node.int_attr("axis", 0), x.rank()));
  const AxisView v = view_axis(x.shape(), axis);
  if (v.size == 0) return invalid(node, "at least one element along the axis", to_string(x.shape()));
  const bool last = node.int_attr("select_last_index", 0) != 0;
  Shape shape = x.shape();
  if (node.int_attr("keepdims", 1) != 0)
    shape[static_cast<size_t>(axis)] = 1;
  else
    shape.erase(shape.begin() + axis);
  NARROW_TRY(Tensor y, make_tensor(node, DType::s64, shape));
  return for_numbers(node, x.dtype(), [&](auto tag) -> Outputs {
    using T = decltype(tag);
    for (int64_t line = 0; line < v.outer * v.inner; ++line) {
      const T* src = x.data<T>().data() + line / v.inner * v.size * v.inner + line % v.inner;
      int64_t best = 0;
      for (int64_t i = 1; i < v.size; ++i) {
        const T value = src[i * v.inner], held = src[best * v.inner];
        if (better(value, held) || (last && !better(held, value))) best = i;
      }
      y.mutable_data<int64_t>()[static_cast<size_t>(line)] = best;
    }
    return one(std::move(y));
  });
}

}  // namespace

Outputs eval_arg_max(const ir::Node& node, Inputs inputs) {
  return arg_best(node, *inputs[0], [](auto a, auto b) { return above(a, b); });
}

Outputs eval_arg_min(const ir::Node& node, Inputs inputs) {
  return arg_best(node, *inputs[0], [](auto a, auto b) { return above(b, a); });
}

/// Values and indices; equal values keep the order of their indices. Always sorted, which unsorted allows.
Outputs eval_top_k(const ir::Node& node, Inputs inputs) {
  const Tensor& x = *inputs[0];
  NARROW_TRY(const int64_t k, int_scalar(node, *inputs[1]));
  NARROW_TRY(const int64_t axis, normal_axis(node, node.int_attr("axis", -1), x.rank()));
  const AxisView v = view_axis(x.shape(), axis);
  if (k < 0 || k > v.size)
    return invalid(node, "K in [0, " + std::to_string(v.size) + "]", std::to_string(k));
  const bool largest = node.int_attr("largest", 1) != 0;
  Shape shape = x.shape();
  shape[static_cast<size_t>(axis)] = k;
  NARROW_TRY(Tensor values, make_tensor(node, x.dtype(), shape));
  NARROW_TRY(Tensor indices, make_tensor(node, DType::s64, shape));
  return for_numbers(node, x.dtype(), [&](auto tag) -> Outputs {
    using T = decltype(tag);
    std::vector<int64_t> order(static_cast<size_t>(v.size));
    for (int64_t line = 0; line < v.outer * v.inner; ++line) {
      const T* src = x.data<T>().data() + line / v.inner * v.size * v.inner + line % v.inner;
      std::iota(order.begin(), order.end(), 0);
      std::partial_sort(order.begin(), order.begin() + k, order.end(), [&](int64_t i, int64_t j) {
        const T a = src[i * v.inner], b = src[j * v.inner];
        if (above(a, b)) return largest;
        if (above(b, a)) return !largest;
        return i < j;
      });
      const int64_t start = line / v.inner * k * v.inner + line % v.inner;
      for (int64_t i = 0; i < k; ++i) {
        const auto to = static_cast<size_t>(start + i * v.inner);
        values.mutable_data<T>()[to] = src[order[static_cast<size_t>(i)] * v.inner];
        indices.mutable_data<int64_t>()[to] = order[static_cast<size_t>(i)];
      }
    }
    return std::vector<Tensor>{std::move(values), std::move(indices)};
  });
}

namespace {
/// exclusive: the result before the element. reverse: from the end.
template <class Step>
Outputs running(const ir::Node& node, Inputs inputs, int start_value, Step step) {
  const Tensor& x = *inputs[0];
  NARROW_TRY(int64_t axis, int_scalar(node, *inputs[1]));
  NARROW_TRY(axis, normal_axis(node, axis, x.rank()));
  const bool exclusive = node.int_attr("exclusive", 0) != 0, reverse = node.int_attr("reverse", 0) != 0;
  const AxisView v = view_axis(x.shape(), axis);
  NARROW_TRY(Tensor y, make_tensor(node, x.dtype(), x.shape()));
  return for_numbers(node, x.dtype(), [&](auto tag) -> Outputs {
    using T = decltype(tag);
    for (int64_t line = 0; line < v.outer * v.inner; ++line) {
      const int64_t start = line / v.inner * v.size * v.inner + line % v.inner;
      auto held = static_cast<Sum<T>>(start_value);
      for (int64_t i = 0; i < v.size; ++i) {
        const auto at = static_cast<size_t>(start + (reverse ? v.size - 1 - i : i) * v.inner);
        if (exclusive) y.mutable_data<T>()[at] = static_cast<T>(held);
        held = step(held, static_cast<Sum<T>>(x.data<T>()[at]));
        if (!exclusive) y.mutable_data<T>()[at] = static_cast<T>(held);
      }
    }
    return one(std::move(y));
  });
}
}  // namespace

Outputs eval_cum_sum(const ir::Node& node, Inputs inputs) { return running(node, inputs, 0, std::plus<>{}); }
Outputs eval_cum_prod(const ir::Node& node, Inputs inputs) {
  return running(node, inputs, 1, std::multiplies<>{});
}

/// 1 at the first maximum of each line.
Outputs eval_hardmax(const ir::Node& node, Inputs inputs) {
  const Tensor& x = *inputs[0];
  NARROW_TRY(const int64_t axis, normal_axis(node, node.int_attr("axis", -1), x.rank()));
  const AxisView v = view_axis(x.shape(), axis);
  NARROW_TRY(Tensor y, make_tensor(node, x.dtype(), x.shape()));
  return for_floats(node, x.dtype(), [&](auto tag) -> Outputs {
    using T = decltype(tag);
    for (int64_t line = 0; v.size > 0 && line < v.outer * v.inner; ++line) {
      const int64_t start = line / v.inner * v.size * v.inner + line % v.inner;
      const T* src = x.data<T>().data() + start;
      T* dst = y.mutable_data<T>().data() + start;
      int64_t best = 0;
      for (int64_t i = 1; i < v.size; ++i)
        if (above(src[i * v.inner], src[best * v.inner])) best = i;
      for (int64_t i = 0; i < v.size; ++i) dst[i * v.inner] = static_cast<T>(i == best);
    }
    return one(std::move(y));
  });
}

}  // namespace narrow::runtime::reference
