// Normalisations. Statistics run in double over two passes (mean, then squared distance), results are rounded
// once.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "runtime/reference/functions.h"

namespace narrow::runtime::reference {
namespace {

struct Moments {
  double mean = 0, inverse_deviation = 0;  // 1 / sqrt(variance + epsilon)
};

template <class T>
Moments moments(const T* x, int64_t count, double epsilon) {
  double sum = 0, squares = 0;
  for (int64_t i = 0; i < count; ++i) sum += static_cast<double>(x[i]);
  const double mean = sum / static_cast<double>(count);
  for (int64_t i = 0; i < count; ++i) {
    const double d = static_cast<double>(x[i]) - mean;
    squares += d * d;
  }
  return {mean, 1 / std::sqrt(squares / static_cast<double>(count) + epsilon)};
}

double epsilon_of(const ir::Node& node) { return static_cast<double>(node.float_attr("epsilon", 1e-5F)); }

/// Inputs first..last are vectors of one entry per channel.
Status per_channel(const ir::Node& node, Inputs inputs, size_t first, size_t last) {
  const Tensor& x = *inputs[0];
  if (x.rank() < 2) return invalid(node, "[n, c, ...]", to_string(x.shape()));
  for (size_t i = first; i <= last; ++i)
    if (inputs[i]->shape() != Shape{x.dim(1)} || inputs[i]->dtype() != x.dtype())
      return invalid(node, fmt::format("[{}] in input {}", x.dim(1), i), to_string(inputs[i]->shape()));
  return {};
}

int64_t plane_of(const Tensor& x) { return elements_of(Shape(x.shape().begin() + 2, x.shape().end())); }

/// y = (x - mean) / sqrt(var + epsilon) * scale[c] + bias[c], statistics over `groups` equal parts of the
/// channels.
Outputs normalise_groups(const ir::Node& node, Inputs inputs, int64_t groups) {
  NARROW_DO(per_channel(node, inputs, 1, 2));
  const Tensor& x = *inputs[0];
  const int64_t c = x.dim(1), plane = plane_of(x);
  if (groups < 1 || c % groups != 0)
    return invalid(node, fmt::format("a divisor of {} channels", c), std::to_string(groups));
  NARROW_TRY(Tensor y, make_tensor(node, x.dtype(), x.shape()));
  return for_floats(node, x.dtype(), [&](auto tag) -> Outputs {
    using T = decltype(tag);
    const T *scale = inputs[1]->data<T>().data(), *bias = inputs[2]->data<T>().data();
    const int64_t part = c / groups * plane;
    for (int64_t g = 0; g < x.dim(0) * groups; ++g) {
      const T* from = x.data<T>().data() + g * part;
      T* to = y.mutable_data<T>().data() + g * part;
      const Moments m = moments(from, part, epsilon_of(node));
      for (int64_t i = 0; i < part; ++i) {
        const int64_t channel = g % groups * (c / groups) + i / plane;
        const double unit = (static_cast<double>(from[i]) - m.mean) * m.inverse_deviation;
        to[i] =
            static_cast<T>(unit * static_cast<double>(scale[channel]) + static_cast<double>(bias[channel]));
      }
    }
    return one(std::move(y));
  });
}

/// x as [outer, inner] with inner the axes from `axis`; scale (and bias) broadcast to those axes' shape.
struct Tail {
  int64_t axis = 0, outer = 1, inner = 1;
  Shape shape;
  std::vector<double> scale, bias;
};

Result<std::vector<double>> expanded(const ir::Node& node, const Tensor* t, const Shape& shape,
                                     double fallback) {
  std::vector<double> values(static_cast<size_t>(elements_of(shape)), fallback);
  if (t == nullptr) return values;
  if (!broadcasts_to(t->shape(), shape))
    return invalid(node, "a scale that broadcasts to " + to_string(shape), to_string(t->shape()));
  const std::vector<double> given = to_doubles(*t);
  walk<1>(shape, {broadcast_strides(t->shape(), shape)}, [&](int64_t i, const auto& at) {
    values[static_cast<size_t>(i)] = given[static_cast<size_t>(at[0])];
  });
  return values;
}

Result<Tail> tail_of(const ir::Node& node, Inputs inputs) {
  const Tensor& x = *inputs[0];
  Tail t;
  NARROW_TRY(t.axis, normal_axis(node, node.int_attr("axis", -1), x.rank()));
  t.shape.assign(x.shape().begin() + t.axis, x.shape().end());
  t.inner = elements_of(t.shape);
  t.outer = elements_of(Shape(x.shape().begin(), x.shape().begin() + t.axis));
  NARROW_TRY(t.scale, expanded(node, inputs[1], t.shape, 1));
  NARROW_TRY(t.bias, expanded(node, optional_input(inputs, 2), t.shape, 0));
  return t;
}

}  // namespace

Outputs eval_instance_normalization(const ir::Node& node, Inputs inputs) {
  return normalise_groups(node, inputs, inputs[0]->rank() > 1 ? inputs[0]->dim(1) : 1);
}

Outputs eval_group_normalization(const ir::Node& node, Inputs inputs) {
  return normalise_groups(node, inputs, node.int_attr("num_groups", 0));
}

/// Inference: y = (x - mean[c]) / sqrt(var[c] + epsilon) * scale[c] + bias[c].
Outputs eval_batch_normalization(const ir::Node& node, Inputs inputs) {
  if (node.int_attr("training_mode", 0) != 0) return unsupported(node, "inference", "training_mode = 1");
  for (size_t i = 1; i < inputs.size(); ++i)
    if (inputs[i] == nullptr) return invalid(node, "five inputs", "fewer");
  NARROW_DO(per_channel(node, inputs, 1, 4));
  const Tensor& x = *inputs[0];
  const int64_t plane = plane_of(x);
  const std::vector<double> scale = to_doubles(*inputs[1]), bias = to_doubles(*inputs[2]);
  const std::vector<double> mean = to_doubles(*inputs[3]), variance = to_doubles(*inputs[4]);
  NARROW_TRY(Tensor y, make_tensor(node, x.dtype(), x.shape()));
  return for_floats(node, x.dtype(), [&](auto tag) -> Outputs {
    using T = decltype(tag);
    for (int64_t p = 0; p < x.dim(0) * x.dim(1); ++p) {
      const auto c = static_cast<size_t>(p % x.dim(1));
      const double factor = scale[c] / std::sqrt(variance[c] + epsilon_of(node));
      for (int64_t i = p * plane; i < (p + 1) * plane; ++i)
        y.mutable_data<T>()[static_cast<size_t>(i)] = static_cast<T>(
            (static_cast<double>(x.data<T>()[static_cast<size_t>(i)]) - mean[c]) * factor + bias[c]);
    }
    return one(std::move(y));
  });
}

/// Over the axes from `axis` on; outputs y, mean and 1 / deviation (the latter with those axes of size 1).
Outputs eval_layer_normalization(const ir::Node& node, Inputs inputs) {
  const Tensor& x = *inputs[0];
  NARROW_TRY(const Tail t, tail_of(node, inputs));
  Shape reduced = x.shape();
  std::fill(reduced.begin() + t.axis, reduced.end(), 1);
  NARROW_TRY(Tensor y, make_tensor(node, x.dtype(), x.shape()));
  NARROW_TRY(Tensor mean, make_tensor(node, x.dtype(), reduced));
  NARROW_TRY(Tensor inverse, make_tensor(node, x.dtype(), reduced));
  return for_floats(node, x.dtype(), [&](auto tag) -> Outputs {
    using T = decltype(tag);
    for (int64_t o = 0; o < t.outer; ++o) {
      const T* from = x.data<T>().data() + o * t.inner;
      T* to = y.mutable_data<T>().data() + o * t.inner;
      const Moments m = moments(from, t.inner, epsilon_of(node));
      mean.mutable_data<T>()[static_cast<size_t>(o)] = static_cast<T>(m.mean);
      inverse.mutable_data<T>()[static_cast<size_t>(o)] = static_cast<T>(m.inverse_deviation);
      for (int64_t i = 0; i < t.inner; ++i) {
        const auto j = static_cast<size_t>(i);
        to[i] = static_cast<T>((static_cast<double>(from[i]) - m.mean) * m.inverse_deviation * t.scale[j] +
                               t.bias[j]);
      }
    }
    std::vector<Tensor> outputs = {std::move(y), std::move(mean), std::move(inverse)};
    outputs.resize(std::clamp<size_t>(node.outputs().size(), 1, 3));
    return outputs;
  });
}

/// y = x / sqrt(mean(x^2) + epsilon) * scale over the axes from `axis` on.
Outputs eval_rms_normalization(const ir::Node& node, Inputs inputs) {
  const Tensor& x = *inputs[0];
  NARROW_TRY(const Tail t, tail_of(node, inputs.first(2)));
  NARROW_TRY(Tensor y, make_tensor(node, x.dtype(), x.shape()));
  return for_floats(node, x.dtype(), [&](auto tag) -> Outputs {
    using T = decltype(tag);
    for (int64_t o = 0; o < t.outer; ++o) {
      const T* from = x.data<T>().data() + o * t.inner;
      double squares = 0;
      for (int64_t i = 0; i < t.inner; ++i)
        squares += static_cast<double>(from[i]) * static_cast<double>(from[i]);
      const double factor = 1 / std::sqrt(squares / static_cast<double>(t.inner) + epsilon_of(node));
      for (int64_t i = 0; i < t.inner; ++i)
        y.mutable_data<T>()[static_cast<size_t>(o * t.inner + i)] =
            static_cast<T>(static_cast<double>(from[i]) * factor * t.scale[static_cast<size_t>(i)]);
    }
    return one(std::move(y));
  });
}

/// y = x / (bias + alpha / size * sum of x^2 over `size` channels around)^beta
Outputs eval_lrn(const ir::Node& node, Inputs inputs) {
  const Tensor& x = *inputs[0];
  const int64_t size = node.int_attr("size", 0);
  if (x.rank() < 2 || size < 1) return invalid(node, "[n, c, ...] and size >= 1", to_string(x.shape()));
  const double alpha = node.float_attr("alpha", 1e-4F), beta = node.float_attr("beta", 0.75F),
               bias = node.float_attr("bias", 1);
  const AxisView v = view_axis(x.shape(), 1);
  const int64_t before = std::min((size - 1) / 2, v.size),
                after = std::min(size - 1 - (size - 1) / 2, v.size);
  NARROW_TRY(Tensor y, make_tensor(node, x.dtype(), x.shape()));
  return for_floats(node, x.dtype(), [&](auto tag) -> Outputs {
    using T = decltype(tag);
    for (int64_t i = 0; i < x.elements(); ++i) {
      const int64_t c = i / v.inner % v.size;
      double squares = 0;
      for (int64_t j = std::max<int64_t>(0, c - before); j <= std::min(v.size - 1, c + after); ++j) {
        const auto value = static_cast<double>(x.data<T>()[static_cast<size_t>(i + (j - c) * v.inner)]);
        squares += value * value;
      }
      const auto value = static_cast<double>(x.data<T>()[static_cast<size_t>(i)]);
      const double base = bias + alpha / static_cast<double>(size) * squares;
      y.mutable_data<T>()[static_cast<size_t>(i)] = static_cast<T>(value / std::pow(base, beta));
    }
    return one(std::move(y));
  });
}

/// x over its L1 or L2 norm along the axis; a norm of 0 gives 0.
Outputs eval_lp_normalization(const ir::Node& node, Inputs inputs) {
  const Tensor& x = *inputs[0];
  NARROW_TRY(const int64_t axis, normal_axis(node, node.int_attr("axis", -1), x.rank()));
  const int64_t p = node.int_attr("p", 2);
  if (p != 1 && p != 2) return invalid(node, "p of 1 or 2", std::to_string(p));
  const AxisView v = view_axis(x.shape(), axis);
  NARROW_TRY(Tensor y, make_tensor(node, x.dtype(), x.shape()));
  return for_floats(node, x.dtype(), [&](auto tag) -> Outputs {
    using T = decltype(tag);
    for (int64_t line = 0; line < v.outer * v.inner; ++line) {
      const int64_t start = line / v.inner * v.size * v.inner + line % v.inner;
      const auto at = [&](int64_t i) {
        return static_cast<double>(x.data<T>()[static_cast<size_t>(start + i * v.inner)]);
      };
      double norm = 0;
      for (int64_t i = 0; i < v.size; ++i) norm += p == 1 ? std::abs(at(i)) : at(i) * at(i);
      if (p == 2) norm = std::sqrt(norm);
      for (int64_t i = 0; i < v.size; ++i)
        y.mutable_data<T>()[static_cast<size_t>(start + i * v.inner)] =
            static_cast<T>(norm == 0 ? 0 : at(i) / norm);
    }
    return one(std::move(y));
  });
}

/// (x - mean) / (deviation + 1e-9) with statistics over `axes`.
Outputs eval_mean_variance_normalization(const ir::Node& node, Inputs inputs) {
  const Tensor& x = *inputs[0];
  NARROW_TRY(const std::vector<int64_t> axes, normal_axes(node, node.ints_attr("axes", {0, 2, 3}), x.rank()));
  Shape kept = x.shape();
  for (const int64_t axis : axes) kept[static_cast<size_t>(axis)] = 1;
  const std::vector<int64_t> strides = broadcast_strides(kept, x.shape());
  const auto count =
      static_cast<double>(x.elements()) / static_cast<double>(std::max<int64_t>(1, elements_of(kept)));
  const std::vector<double> data = to_doubles(x);
  std::vector<double> mean(static_cast<size_t>(elements_of(kept)), 0.0), deviation = mean,
                                                                         result(data.size());
  const auto visit = [&](auto f) {
    walk<1>(x.shape(), {strides},
            [&](int64_t i, const auto& at) { f(static_cast<size_t>(i), static_cast<size_t>(at[0])); });
  };
  visit([&](size_t i, size_t s) { mean[s] += data[i] / count; });
  visit([&](size_t i, size_t s) { deviation[s] += (data[i] - mean[s]) * (data[i] - mean[s]) / count; });
  visit([&](size_t i, size_t s) { result[i] = (data[i] - mean[s]) / (std::sqrt(deviation[s]) + 1e-9); });
  return one(cast(Tensor::of(x.shape(), result), x.dtype()));
}

}  // namespace narrow::runtime::reference
