// Reductions over axes (opset 18: axes are an input). Sums run in double, or modulo 2^64 for integers.
#include <algorithm>
#include <cmath>
#include <limits>

#include "runtime/reference/functions.h"

namespace narrow::runtime::reference {
namespace {

/// Which axes go, and the output's shape with and without the axes of size 1.
struct Plan {
  std::vector<bool> reduced;
  Shape kept;             // reduced axes of size 1: what the loops write
  Shape result;           // as keepdims says
  bool identity = false;  // no axes and noop_with_empty_axes
  int64_t count = 1;      // elements behind one result
};

Result<Plan> plan(const ir::Node& node, Inputs inputs) {
  const Shape& shape = inputs[0]->shape();
  const auto rank = static_cast<int64_t>(shape.size());
  NARROW_TRY(std::vector<int64_t> axes, int_list(node, optional_input(inputs, 1)));
  NARROW_TRY(axes, normal_axes(node, std::move(axes), rank));
  Plan p;
  p.identity = axes.empty() && node.int_attr("noop_with_empty_axes", 0) != 0;
  p.reduced.assign(shape.size(), axes.empty() && !p.identity);
  for (const int64_t axis : axes) p.reduced[static_cast<size_t>(axis)] = true;
  const bool keepdims = node.int_attr("keepdims", 1) != 0;
  for (size_t i = 0; i < shape.size(); ++i) {
    p.kept.push_back(p.reduced[i] ? 1 : shape[i]);
    if (!p.reduced[i] || keepdims) p.result.push_back(p.kept[i]);
    if (p.reduced[i]) p.count *= shape[i];
  }
  return p;
}

/// acc = start; acc = step(acc, x) for each element; y = finish(acc, count). A is what acc is kept in.
template <class T, class A, class Step, class Finish>
Outputs reduce(const ir::Node& node, Inputs inputs, A start, Step step, Finish finish) {
  const Tensor& x = *inputs[0];
  NARROW_TRY(const Plan p, plan(node, inputs));
  NARROW_TRY(Tensor y, make_tensor(node, x.dtype(), p.result));
  std::vector<A> acc(static_cast<size_t>(y.elements()), start);
  const auto src = x.data<T>();
  walk<1>(x.shape(), {broadcast_strides(p.kept, x.shape())}, [&](int64_t i, const auto& at) {
    A& a = acc[static_cast<size_t>(at[0])];
    a = step(a, src[static_cast<size_t>(i)]);
  });
  const auto dst = y.mutable_data<T>();
  for (size_t i = 0; i < acc.size(); ++i) dst[i] = static_cast<T>(finish(acc[i], p.count));
  return one(std::move(y));
}

constexpr auto kSame = [](auto acc, int64_t) { return acc; };

template <class Step, class Finish>
Outputs reduce_numbers(const ir::Node& node, Inputs inputs, int start, Step step, Finish finish) {
  return for_numbers(node, inputs[0]->dtype(), [&](auto tag) -> Outputs {
    using T = decltype(tag);
    return reduce<T>(node, inputs, static_cast<Sum<T>>(start), step, finish);
  });
}

/// A square root or logarithm of an integer sum is taken in double.
template <class A>
double real(A acc) {
  if constexpr (std::is_floating_point_v<A>)
    return acc;
  else
    return static_cast<double>(static_cast<int64_t>(acc));
}

constexpr auto kPlus = [](auto acc, auto x) { return acc + static_cast<decltype(acc)>(x); };
constexpr auto kPlusMagnitude = [](auto acc, auto x) {
  const auto wide = static_cast<decltype(acc)>(x);
  return x < decltype(x){} ? acc - wide : acc + wide;
};
constexpr auto kPlusSquare = [](auto acc, auto x) {
  const auto wide = static_cast<decltype(acc)>(x);
  return acc + wide * wide;
};

template <class T>
T lowest() {
  if constexpr (std::is_floating_point_v<T>)
    return -std::numeric_limits<T>::infinity();
  else
    return std::numeric_limits<T>::lowest();
}
template <class T>
T highest() {
  if constexpr (std::is_floating_point_v<T>)
    return std::numeric_limits<T>::infinity();
  else
    return std::numeric_limits<T>::max();
}

}  // namespace

Outputs eval_reduce_sum(const ir::Node& node, Inputs inputs) {
  return reduce_numbers(node, inputs, 0, kPlus, kSame);
}

Outputs eval_reduce_mean(const ir::Node& node, Inputs inputs) {
  return for_numbers(node, inputs[0]->dtype(), [&](auto tag) -> Outputs {
    using T = decltype(tag);
    using A = std::conditional_t<std::is_signed_v<T> && std::is_integral_v<T>, int64_t, Sum<T>>;
    return reduce<T>(node, inputs, Sum<T>{0}, kPlus, [](auto acc, int64_t count) {
      return count == 0 && std::is_integral_v<A> ? A{0} : static_cast<A>(acc) / static_cast<A>(count);
    });
  });
}

Outputs eval_reduce_prod(const ir::Node& node, Inputs inputs) {
  return reduce_numbers(
      node, inputs, 1, [](auto acc, auto x) { return acc * static_cast<decltype(acc)>(x); }, kSame);
}

Outputs eval_reduce_l1(const ir::Node& node, Inputs inputs) {
  return reduce_numbers(node, inputs, 0, kPlusMagnitude, kSame);
}

Outputs eval_reduce_l2(const ir::Node& node, Inputs inputs) {
  return reduce_numbers(node, inputs, 0, kPlusSquare, [](auto acc, int64_t) { return std::sqrt(real(acc)); });
}

Outputs eval_reduce_sum_square(const ir::Node& node, Inputs inputs) {
  return reduce_numbers(node, inputs, 0, kPlusSquare, kSame);
}

Outputs eval_reduce_log_sum(const ir::Node& node, Inputs inputs) {
  return reduce_numbers(node, inputs, 0, kPlus, [](auto acc, int64_t) { return std::log(real(acc)); });
}

/// log sum exp = m + log sum exp(x - m), both kept while reading: when a larger x comes, the sum is rescaled.
Outputs eval_reduce_log_sum_exp(const ir::Node& node, Inputs inputs) {
  struct State {
    double max = -std::numeric_limits<double>::infinity(), sum = 0;
  };
  return for_numbers(node, inputs[0]->dtype(), [&](auto tag) -> Outputs {
    using T = decltype(tag);
    return reduce<T>(
        node, inputs, State{},
        [](State s, T value) {
          const auto x = static_cast<double>(value);
          if (x == s.max) return State{s.max, s.sum + 1};
          if (!(x < s.max)) return State{x, s.sum * std::exp(s.max - x) + 1};
          return State{s.max, s.sum + std::exp(x - s.max)};
        },
        [](State s, int64_t) { return s.max + std::log(s.sum); });
  });
}

namespace {
/// NaN wins. Booleans count as 0 and 1.
template <class Better>
Outputs extreme(const ir::Node& node, Inputs inputs, bool max, Better better) {
  const auto step = [=](auto acc, auto x) { return acc != acc || better(acc, x) ? acc : x; };
  if (inputs[0]->dtype() == DType::boolean)
    return reduce<bool>(node, inputs, static_cast<uint8_t>(!max), step, kSame);
  return for_numbers(node, inputs[0]->dtype(), [&](auto tag) -> Outputs {
    using T = decltype(tag);
    return reduce<T>(node, inputs, max ? lowest<T>() : highest<T>(), step, kSame);
  });
}
}  // namespace

Outputs eval_reduce_max(const ir::Node& node, Inputs inputs) {
  return extreme(node, inputs, true, std::greater<>{});
}
Outputs eval_reduce_min(const ir::Node& node, Inputs inputs) {
  return extreme(node, inputs, false, std::less<>{});
}

}  // namespace narrow::runtime::reference
