// Pools over windows and over whole planes, channels first.
#include <cmath>
#include <limits>

#include "runtime/reference/functions.h"
#include "runtime/reference/window.h"

namespace narrow::runtime::reference {
namespace {

Result<Window> pool_window(const ir::Node& node, const Shape& x) {
  const std::vector<int64_t> kernel = node.ints_attr("kernel_shape");
  if (kernel.empty()) return invalid(node, "kernel_shape", "none");
  return make_window(node, x, kernel);
}

/// A window as large as the plane.
Result<Window> global_window(const ir::Node& node, const Shape& x) {
  if (x.size() < 3) return invalid(node, "[n, c, spatial...]", to_string(x));
  Window w;
  w.rank = x.size() - 2;
  w.out = w.stride = w.dilation = w.kernel = {1, 1, 1};
  w.pad_begin = w.pad_end = {0, 0, 0};
  int64_t plane = 1;
  for (size_t i = 2; i < x.size(); ++i) plane *= x[i];
  w.in = w.kernel = {1, 1, plane};
  return w;
}

/// y[n, c, o] = f(plane, o) for every window.
template <class T, class F>
Result<Tensor> pool(const ir::Node& node, const Tensor& x, const Window& w, const Shape& shape, F f) {
  NARROW_TRY(Tensor y, make_tensor(node, x.dtype(), shape));
  const int64_t planes = x.dim(0) * x.dim(1);
  T* to = y.mutable_data<T>().data();
  for (int64_t p = 0; p < planes; ++p)
    for (int64_t o = 0; o < w.out_size(); ++o)
      *to++ = static_cast<T>(f(x.data<T>().data() + p * w.in_size(), o));
  return y;
}

template <class T>
Result<Tensor> average(const ir::Node& node, const Tensor& x, const Window& w, const Shape& shape,
                       bool include_pad) {
  return pool<T>(node, x, w, shape, [&](const T* plane, int64_t o) {
    double sum = 0;
    int64_t taps = 0;
    const int64_t padded =
        for_each_tap(w, o, [&](int64_t i) { sum += static_cast<double>(plane[i]), ++taps; });
    const int64_t count = include_pad ? padded : taps;
    return count == 0 ? 0.0 : sum / static_cast<double>(count);
  });
}

/// The position of the first largest element (NaN counts as largest); -1 when the window holds none.
template <class T>
int64_t largest(const Window& w, const T* plane, int64_t o) {
  int64_t best = -1;
  for_each_tap(w, o, [&](int64_t i) {
    if (best < 0 || plane[i] > plane[best] || (plane[i] != plane[i] && plane[best] == plane[best])) best = i;
  });
  return best;
}

template <class T>
Result<Tensor> max_values(const ir::Node& node, const Tensor& x, const Window& w, const Shape& shape) {
  return pool<T>(node, x, w, shape, [&](const T* plane, int64_t o) {
    const int64_t best = largest(w, plane, o);
    return best < 0 ? std::numeric_limits<T>::lowest() : plane[best];
  });
}

/// Flat positions in x; storage_order 1 counts a plane's positions with the first spatial axis fastest.
template <class T>
Result<Tensor> max_indices(const ir::Node& node, const Tensor& x, const Window& w, const Shape& shape) {
  NARROW_TRY(Tensor y, make_tensor(node, DType::s64, shape));
  const bool column_major = node.int_attr("storage_order", 0) != 0;
  int64_t* to = y.mutable_data<int64_t>().data();
  for (int64_t p = 0; p < x.dim(0) * x.dim(1); ++p)
    for (int64_t o = 0; o < w.out_size(); ++o) {
      int64_t best = std::max<int64_t>(0, largest(w, x.data<T>().data() + p * w.in_size(), o));
      if (column_major) {
        const int64_t d = best / (w.in[1] * w.in[2]), h = best / w.in[2] % w.in[1], c = best % w.in[2];
        best = d + (h + c * w.in[1]) * w.in[0];
      }
      *to++ = p * w.in_size() + best;
    }
  return y;
}

}  // namespace

Outputs eval_max_pool(const ir::Node& node, Inputs inputs) {
  const Tensor& x = *inputs[0];
  NARROW_TRY(const Window w, pool_window(node, x.shape()));
  const Shape shape = w.output_shape(x.dim(0), x.dim(1));
  return for_numbers(node, x.dtype(), [&](auto tag) -> Outputs {
    using T = decltype(tag);
    std::vector<Tensor> outputs(1);
    NARROW_TRY(outputs[0], max_values<T>(node, x, w, shape));
    if (node.outputs().size() > 1) {
      NARROW_TRY(Tensor indices, max_indices<T>(node, x, w, shape));
      outputs.push_back(std::move(indices));
    }
    return outputs;
  });
}

Outputs eval_average_pool(const ir::Node& node, Inputs inputs) {
  const Tensor& x = *inputs[0];
  NARROW_TRY(const Window w, pool_window(node, x.shape()));
  return for_floats(node, x.dtype(), [&](auto tag) -> Outputs {
    using T = decltype(tag);
    const bool include_pad = node.int_attr("count_include_pad", 0) != 0;
    NARROW_TRY(Tensor y, average<T>(node, x, w, w.output_shape(x.dim(0), x.dim(1)), include_pad));
    return one(std::move(y));
  });
}

/// (sum |x|^p)^(1/p)
Outputs eval_lp_pool(const ir::Node& node, Inputs inputs) {
  const Tensor& x = *inputs[0];
  NARROW_TRY(const Window w, pool_window(node, x.shape()));
  const auto p = static_cast<double>(node.int_attr("p", 2));
  if (p == 0) return invalid(node, "p other than 0", "0");
  return for_floats(node, x.dtype(), [&](auto tag) -> Outputs {
    using T = decltype(tag);
    NARROW_TRY(
        Tensor y, pool<T>(node, x, w, w.output_shape(x.dim(0), x.dim(1)), [&](const T* plane, int64_t o) {
          double sum = 0;
          for_each_tap(w, o, [&](int64_t i) { sum += std::pow(std::abs(static_cast<double>(plane[i])), p); });
          return std::pow(sum, 1 / p);
        }));
    return one(std::move(y));
  });
}

namespace {
Shape global_shape(const Shape& x) {
  Shape shape(x.size(), 1);
  shape[0] = x[0], shape[1] = x[1];
  return shape;
}
}  // namespace

Outputs eval_global_average_pool(const ir::Node& node, Inputs inputs) {
  const Tensor& x = *inputs[0];
  NARROW_TRY(const Window w, global_window(node, x.shape()));
  return for_floats(node, x.dtype(), [&](auto tag) -> Outputs {
    NARROW_TRY(Tensor y, average<decltype(tag)>(node, x, w, global_shape(x.shape()), false));
    return one(std::move(y));
  });
}

Outputs eval_global_max_pool(const ir::Node& node, Inputs inputs) {
  const Tensor& x = *inputs[0];
  NARROW_TRY(const Window w, global_window(node, x.shape()));
  return for_numbers(node, x.dtype(), [&](auto tag) -> Outputs {
    NARROW_TRY(Tensor y, max_values<decltype(tag)>(node, x, w, global_shape(x.shape())));
    return one(std::move(y));
  });
}

}  // namespace narrow::runtime::reference
