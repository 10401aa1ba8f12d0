// Elements picked by what they are: NonZero, Compress, Unique.
#include <algorithm>
#include <numeric>

#include "runtime/reference/functions.h"

namespace narrow::runtime::reference {
namespace {

/// Slices `picked` of x along axis.
Result<Tensor> take(const ir::Node& node, const Tensor& x, int64_t axis, const std::vector<int64_t>& picked) {
  Shape shape = x.shape();
  shape[static_cast<size_t>(axis)] = std::ssize(picked);
  NARROW_TRY(Tensor y, make_tensor(node, x.dtype(), shape));
  const AxisView v = view_axis(x.shape(), axis);
  const auto bytes = static_cast<size_t>(v.inner * bytes_of(x.dtype()));
  auto* to = static_cast<std::byte*>(y.mutable_raw());
  for (int64_t o = 0; bytes > 0 && o < v.outer; ++o)
    for (const int64_t i : picked) {
      std::memcpy(to, static_cast<const std::byte*>(x.raw()) + static_cast<size_t>(o * v.size + i) * bytes,
                  bytes);
      to += bytes;
    }
  return y;
}

/// The tensor itself, or flat when the node has no axis; and the axis.
struct Along {
  Tensor x;
  int64_t axis = 0;
};

Result<Along> along(const ir::Node& node, const Tensor& x) {
  if (!node.has("axis")) return Along{x.reshaped({x.elements()}), 0};
  NARROW_TRY(const int64_t axis, normal_axis(node, node.int_attr("axis", 0), x.rank()));
  return Along{x, axis};
}

}  // namespace

Outputs eval_non_zero(const ir::Node& node, Inputs inputs) {
  const Tensor& x = *inputs[0];
  const Tensor set = cast(x, DType::boolean);
  const auto bits = set.data<bool>();
  const auto count = static_cast<int64_t>(std::count(bits.begin(), bits.end(), true));
  NARROW_TRY(Tensor y, make_tensor(node, DType::s64, {x.rank(), count}));
  const std::vector<int64_t> strides = row_major_strides(x.shape());
  int64_t* to = y.mutable_data<int64_t>().data();
  for (int64_t i = 0, column = 0; i < x.elements(); ++i) {
    if (!bits[static_cast<size_t>(i)]) continue;
    for (int64_t d = 0; d < x.rank(); ++d)
      to[d * count + column] = i / strides[static_cast<size_t>(d)] % x.dim(d);
    ++column;
  }
  return one(std::move(y));
}

Outputs eval_compress(const ir::Node& node, Inputs inputs) {
  NARROW_TRY(const Along a, along(node, *inputs[0]));
  const Tensor& condition = *inputs[1];
  if (condition.dtype() != DType::boolean || condition.rank() != 1)
    return invalid(node, "a condition bool[n]", to_string(condition.dtype()) + to_string(condition.shape()));
  const auto wanted = condition.data<bool>();
  std::vector<int64_t> picked;
  for (int64_t i = 0; i < std::ssize(wanted); ++i)
    if (wanted[static_cast<size_t>(i)]) picked.push_back(i);
  if (!picked.empty() && picked.back() >= a.x.dim(a.axis))
    return invalid(node, "a condition no longer than the axis", to_string(condition.shape()));
  NARROW_TRY(Tensor y, take(node, a.x, a.axis, picked));
  return one(std::move(y));
}

/// Slices compared element by element; with sorted = 0 in the order of their first appearance.
Outputs eval_unique(const ir::Node& node, Inputs inputs) {
  NARROW_TRY(const Along a, along(node, *inputs[0]));
  const AxisView v = view_axis(a.x.shape(), a.axis);
  return for_numbers(node, a.x.dtype(), [&](auto tag) -> Outputs {
    using T = decltype(tag);
    const T* src = a.x.data<T>().data();
    const auto compare = [&](int64_t i, int64_t j) {
      for (int64_t o = 0; o < v.outer; ++o)
        for (int64_t k = 0; k < v.inner; ++k) {
          const T p = src[(o * v.size + i) * v.inner + k], q = src[(o * v.size + j) * v.inner + k];
          if (p != q) return p < q || (q != q && p == p) ? -1 : 1;  // NaN last, each of its own
        }
      return 0;
    };
    std::vector<int64_t> order(static_cast<size_t>(v.size));
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int64_t i, int64_t j) { return compare(i, j) < 0; });
    std::vector<int64_t> first, counts, place(order.size());
    for (size_t i = 0; i < order.size(); ++i) {
      if (i == 0 || compare(order[i - 1], order[i]) != 0) {
        first.push_back(order[i]);
        counts.push_back(0);
      }
      ++counts.back();
      place[static_cast<size_t>(order[i])] = std::ssize(first) - 1;
    }
    if (node.int_attr("sorted", 1) == 0) {
      std::vector<size_t> by_first(first.size()), rank(first.size());
      std::iota(by_first.begin(), by_first.end(), size_t{0});
      std::sort(by_first.begin(), by_first.end(), [&](size_t i, size_t j) { return first[i] < first[j]; });
      std::vector<int64_t> sorted_first, sorted_counts;
      for (size_t i = 0; i < by_first.size(); ++i) {
        rank[by_first[i]] = i;
        sorted_first.push_back(first[by_first[i]]);
        sorted_counts.push_back(counts[by_first[i]]);
      }
      for (int64_t& p : place) p = static_cast<int64_t>(rank[static_cast<size_t>(p)]);
      first = sorted_first;
      counts = sorted_counts;
    }
    NARROW_TRY(Tensor y, take(node, a.x, a.axis, first));
    const auto list = [](const std::vector<int64_t>& values) {
      return Tensor::of({std::ssize(values)}, values);
    };
    return std::vector<Tensor>{std::move(y), list(first), list(place), list(counts)};
  });
}

}  // namespace narrow::runtime::reference
