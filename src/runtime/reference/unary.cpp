// Functions of one element: elementary functions, rounding, signs, tests.
#include <algorithm>
#include <cmath>

#include "runtime/reference/functions.h"

namespace narrow::runtime::reference {
namespace {

template <class To = void, class F>
Outputs map_floats(const ir::Node& node, const Tensor& x, F f) {
  return for_floats(node, x.dtype(), [&](auto tag) -> Outputs {
    using T = decltype(tag);
    using R = std::conditional_t<std::is_void_v<To>, T, To>;
    NARROW_TRY(Tensor y, make_tensor(node, DTypeOf<R>::value, x.shape()));
    std::transform(x.data<T>().begin(), x.data<T>().end(), y.mutable_data<R>().begin(), f);
    return one(std::move(y));
  });
}

template <class F>
Outputs map_numbers(const ir::Node& node, const Tensor& x, F f) {
  return for_numbers(node, x.dtype(), [&](auto tag) -> Outputs {
    using T = decltype(tag);
    NARROW_TRY(Tensor y, make_tensor(node, x.dtype(), x.shape()));
    std::transform(x.data<T>().begin(), x.data<T>().end(), y.mutable_data<T>().begin(), f);
    return one(std::move(y));
  });
}

/// 0 - x modulo 2^bits for integers: defined for the lowest value too.
template <class T>
T negative(T x) {
  if constexpr (std::is_floating_point_v<T>)
    return -x;
  else
    return static_cast<T>(uint64_t{0} - static_cast<uint64_t>(x));
}

}  // namespace

#define NARROW_UNARY(name, expression)                                        \
  Outputs eval_##name(const ir::Node& node, Inputs inputs) {                  \
    return map_floats(node, *inputs[0], [](auto x) { return (expression); }); \
  }
NARROW_UNARY(exp, std::exp(x))
NARROW_UNARY(log, std::log(x))
NARROW_UNARY(sqrt, std::sqrt(x))
NARROW_UNARY(reciprocal, 1 / x)
NARROW_UNARY(floor, std::floor(x))
NARROW_UNARY(ceil, std::ceil(x))
NARROW_UNARY(round, std::nearbyint(x))  // half to even
NARROW_UNARY(erf, std::erf(x))
NARROW_UNARY(sin, std::sin(x))
NARROW_UNARY(cos, std::cos(x))
NARROW_UNARY(tan, std::tan(x))
NARROW_UNARY(atan, std::atan(x))
NARROW_UNARY(asin, std::asin(x))
NARROW_UNARY(acos, std::acos(x))
NARROW_UNARY(sinh, std::sinh(x))
NARROW_UNARY(cosh, std::cosh(x))
NARROW_UNARY(asinh, std::asinh(x))
NARROW_UNARY(acosh, std::acosh(x))
NARROW_UNARY(atanh, std::atanh(x))
#undef NARROW_UNARY

Outputs eval_abs(const ir::Node& node, Inputs inputs) {
  return map_numbers(node, *inputs[0], [](auto x) {
    using T = decltype(x);
    if constexpr (std::is_floating_point_v<T>)
      return std::abs(x);
    else
      return x < T{0} ? negative(x) : x;
  });
}

Outputs eval_neg(const ir::Node& node, Inputs inputs) {
  return map_numbers(node, *inputs[0], [](auto x) { return negative(x); });
}

Outputs eval_sign(const ir::Node& node, Inputs inputs) {
  return map_numbers(node, *inputs[0], [](auto x) {
    using T = decltype(x);
    return static_cast<T>((x > T{0}) - (x < T{0}));
  });
}

/// Integers in double, back by truncation.
Outputs eval_shrink(const ir::Node& node, Inputs inputs) {
  const auto bias = static_cast<double>(node.float_attr("bias", 0)),
             lambd = static_cast<double>(node.float_attr("lambd", 0.5F));
  return map_numbers(node, *inputs[0], [=](auto x) {
    const auto wide = static_cast<double>(x);
    const double y = wide < -lambd ? wide + bias : wide > lambd ? wide - bias : 0;
    return static_cast<decltype(x)>(std::is_unsigned_v<decltype(x)> && y < 0 ? 0 : y);
  });
}

Outputs eval_not(const ir::Node& node, Inputs inputs) {
  const Tensor& x = *inputs[0];
  if (x.dtype() != DType::boolean) return wrong_type(node, x.dtype());
  NARROW_TRY(Tensor y, make_tensor(node, DType::boolean, x.shape()));
  std::transform(x.data<bool>().begin(), x.data<bool>().end(), y.mutable_data<bool>().begin(),
                 std::logical_not<>{});
  return one(std::move(y));
}

Outputs eval_is_nan(const ir::Node& node, Inputs inputs) {
  return map_floats<bool>(node, *inputs[0], [](auto x) { return std::isnan(x); });
}

Outputs eval_is_inf(const ir::Node& node, Inputs inputs) {
  const bool positive = node.int_attr("detect_positive", 1) != 0;
  const bool negatives = node.int_attr("detect_negative", 1) != 0;
  return map_floats<bool>(node, *inputs[0],
                          [=](auto x) { return std::isinf(x) && (x > 0 ? positive : negatives); });
}

}  // namespace narrow::runtime::reference
