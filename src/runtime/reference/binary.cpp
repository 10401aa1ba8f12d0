// Functions of two or more elements under broadcasting. Integer arithmetic is modulo 2^bits; dividing an
// integer by zero is an error, not a trap.
#include <algorithm>
#include <cmath>

#include "runtime/reference/functions.h"

namespace narrow::runtime::reference {
namespace {

/// y = f(a, b) with a, b of type T and y of type R.
template <class T, class R, class F>
Outputs zip(const ir::Node& node, const Tensor& a, const Tensor& b, F f) {
  if (a.dtype() != b.dtype()) return invalid(node, to_string(a.dtype()), to_string(b.dtype()));
  NARROW_TRY(const Shape shape, broadcast_shape(node, a.shape(), b.shape()));
  NARROW_TRY(Tensor y, make_tensor(node, DTypeOf<R>::value, shape));
  const auto pa = a.data<T>();
  const auto pb = b.data<T>();
  const auto py = y.mutable_data<R>();
  walk<2>(shape, {broadcast_strides(a.shape(), shape), broadcast_strides(b.shape(), shape)},
          [&](int64_t i, const auto& at) {
            py[static_cast<size_t>(i)] = f(pa[static_cast<size_t>(at[0])], pb[static_cast<size_t>(at[1])]);
          });
  return one(std::move(y));
}

template <class F>
Outputs arithmetic(const ir::Node& node, const Tensor& a, const Tensor& b, F f) {
  return for_numbers(node, a.dtype(), [&](auto tag) -> Outputs {
    using T = decltype(tag);
    return zip<T, T>(node, a, b, f);
  });
}

template <class F>
Outputs comparison(const ir::Node& node, Inputs in, F f) {
  if (in[0]->dtype() == DType::boolean) return zip<bool, bool>(node, *in[0], *in[1], f);
  return for_numbers(node, in[0]->dtype(),
                     [&](auto tag) -> Outputs { return zip<decltype(tag), bool>(node, *in[0], *in[1], f); });
}

template <class F>
Outputs logical(const ir::Node& node, Inputs in, F f) {
  if (in[0]->dtype() != DType::boolean) return wrong_type(node, in[0]->dtype());
  return zip<bool, bool>(node, *in[0], *in[1], f);
}

/// f on 64-bit unsigned words for integers (no signed overflow), on the type itself for floats.
template <class F>
auto wrapping(F f) {
  return [f](auto a, auto b) {
    using T = decltype(a);
    if constexpr (std::is_floating_point_v<T>)
      return f(a, b);
    else
      return static_cast<T>(f(static_cast<uint64_t>(a), static_cast<uint64_t>(b)));
  };
}
constexpr auto kAdd = [](auto a, auto b) { return a + b; };

/// NaN wins, as in NumPy.
constexpr auto kMin = [](auto a, auto b) { return a != a || a < b ? a : b; };
constexpr auto kMax = [](auto a, auto b) { return a != a || a > b ? a : b; };

/// Folds all inputs with f from the left.
template <class F>
Outputs fold(const ir::Node& node, Inputs in, F f) {
  Tensor y = *in[0];
  for (size_t i = 1; i < in.size(); ++i) {
    if (in[i] == nullptr) return invalid(node, "every input", "an absent one");
    NARROW_TRY(std::vector<Tensor> next, arithmetic(node, y, *in[i], f));
    y = std::move(next[0]);
  }
  return one(std::move(y));
}

Status no_integer_zero(const ir::Node& node, const Tensor& divisor) {
  if (!is_integer(divisor.dtype())) return {};
  const std::vector<int64_t> values = to_ints(divisor);
  if (std::find(values.begin(), values.end(), 0) != values.end())
    return Error{
        .code = Code::numerical, .subject = node.location(), .expected = "divisors other than 0", .got = "0"};
  return {};
}

/// Truncates; lowest / -1 wraps to lowest.
template <class T>
T divide(T a, T b) {
  if constexpr (std::is_signed_v<T> && std::is_integral_v<T>)
    return b == T{-1} ? static_cast<T>(uint64_t{0} - static_cast<uint64_t>(a)) : static_cast<T>(a / b);
  else
    return static_cast<T>(a / b);
}

/// Remainder with the sign of the dividend (C) or of the divisor (Python).
template <class T>
T remainder_of(T a, T b, bool sign_of_dividend) {
  if constexpr (std::is_floating_point_v<T>) {
    const T r = std::fmod(a, b);
    return !sign_of_dividend && r != 0 && (r < 0) != (b < 0) ? r + b : r;
  } else if constexpr (std::is_signed_v<T>) {
    if (b == T{-1}) return 0;
    const T r = static_cast<T>(a % b);
    return !sign_of_dividend && r != 0 && (r < 0) != (b < 0) ? static_cast<T>(r + b) : r;
  } else {
    return static_cast<T>(a % b);
  }
}

/// Integer power by squaring, modulo 2^64; negative exponents truncate like 1 / a^-b (base 0: 0).
template <class T>
T integer_power(T base, int64_t exponent) {
  if (exponent < 0) {
    const auto b = static_cast<int64_t>(base);
    if (b == 1) return 1;
    if (b == -1) return static_cast<T>(exponent % 2 == 0 ? 1 : -1);
    return 0;
  }
  uint64_t result = 1, square = static_cast<uint64_t>(base);
  for (auto e = static_cast<uint64_t>(exponent); e > 0; e >>= 1, square *= square)
    if (e & 1) result *= square;
  return static_cast<T>(result);
}

}  // namespace

Outputs eval_add(const ir::Node& node, Inputs inputs) {
  return arithmetic(node, *inputs[0], *inputs[1], wrapping(kAdd));
}

Outputs eval_sub(const ir::Node& node, Inputs inputs) {
  return arithmetic(node, *inputs[0], *inputs[1], wrapping([](auto a, auto b) { return a - b; }));
}

Outputs eval_mul(const ir::Node& node, Inputs inputs) {
  return arithmetic(node, *inputs[0], *inputs[1], wrapping([](auto a, auto b) { return a * b; }));
}

Outputs eval_div(const ir::Node& node, Inputs inputs) {
  NARROW_DO(no_integer_zero(node, *inputs[1]));
  return arithmetic(node, *inputs[0], *inputs[1], [](auto a, auto b) { return divide(a, b); });
}

Outputs eval_mod(const ir::Node& node, Inputs inputs) {
  NARROW_DO(no_integer_zero(node, *inputs[1]));
  const bool fmod = node.int_attr("fmod", 0) != 0;
  return arithmetic(node, *inputs[0], *inputs[1], [=](auto a, auto b) { return remainder_of(a, b, fmod); });
}

/// The result has the base's type. Integers to an integer power stay exact, everything else goes through
/// double.
Outputs eval_pow(const ir::Node& node, Inputs inputs) {
  const Tensor& base = *inputs[0];
  const Tensor& exponent = *inputs[1];
  NARROW_TRY(const Shape shape, broadcast_shape(node, base.shape(), exponent.shape()));
  NARROW_TRY(Tensor y, make_tensor(node, base.dtype(), shape));
  const std::array strides = {broadcast_strides(base.shape(), shape),
                              broadcast_strides(exponent.shape(), shape)};
  return for_numbers(node, base.dtype(), [&](auto tag) -> Outputs {
    using T = decltype(tag);
    const auto a = base.data<T>();
    const auto dst = y.mutable_data<T>();
    if (std::is_integral_v<T> && is_integer(exponent.dtype())) {
      const std::vector<int64_t> b = to_ints(exponent);
      walk<2>(shape, strides, [&](int64_t i, const auto& at) {
        dst[static_cast<size_t>(i)] =
            integer_power(a[static_cast<size_t>(at[0])], b[static_cast<size_t>(at[1])]);
      });
      return one(std::move(y));
    }
    const std::vector<double> b = to_doubles(exponent), wide = to_doubles(base);
    Tensor powers = Tensor::allocate(DType::f64, shape);
    walk<2>(shape, strides, [&](int64_t i, const auto& at) {
      powers.mutable_data<double>()[static_cast<size_t>(i)] =
          std::pow(wide[static_cast<size_t>(at[0])], b[static_cast<size_t>(at[1])]);
    });
    return one(cast(powers, base.dtype()));
  });
}

Outputs eval_min(const ir::Node& node, Inputs inputs) { return fold(node, inputs, kMin); }
Outputs eval_max(const ir::Node& node, Inputs inputs) { return fold(node, inputs, kMax); }
Outputs eval_sum(const ir::Node& node, Inputs inputs) { return fold(node, inputs, wrapping(kAdd)); }

Outputs eval_mean(const ir::Node& node, Inputs inputs) {
  NARROW_TRY(const std::vector<Tensor> sum, fold(node, inputs, wrapping(kAdd)));
  const auto count = static_cast<float>(inputs.size());
  const Tensor divisor = cast(Tensor::scalar(count), sum[0].dtype());
  return arithmetic(node, sum[0], divisor, [](auto a, auto b) { return divide(a, b); });
}

Outputs eval_prelu(const ir::Node& node, Inputs inputs) {
  if (!broadcasts_to(inputs[1]->shape(), inputs[0]->shape()))
    return invalid(node, "a slope that broadcasts to " + to_string(inputs[0]->shape()),
                   to_string(inputs[1]->shape()));
  return arithmetic(node, *inputs[0], *inputs[1], [](auto x, auto slope) {
    using T = decltype(x);
    if constexpr (std::is_floating_point_v<T>)
      return x < 0 ? x * slope : x;
    else
      return x < T{0} ? static_cast<T>(static_cast<uint64_t>(x) * static_cast<uint64_t>(slope)) : x;
  });
}

Outputs eval_equal(const ir::Node& node, Inputs inputs) {
  return comparison(node, inputs, std::equal_to<>{});
}
Outputs eval_greater(const ir::Node& node, Inputs inputs) {
  return comparison(node, inputs, std::greater<>{});
}
Outputs eval_greater_or_equal(const ir::Node& node, Inputs inputs) {
  return comparison(node, inputs, std::greater_equal<>{});
}
Outputs eval_less(const ir::Node& node, Inputs inputs) { return comparison(node, inputs, std::less<>{}); }
Outputs eval_less_or_equal(const ir::Node& node, Inputs inputs) {
  return comparison(node, inputs, std::less_equal<>{});
}
Outputs eval_and(const ir::Node& node, Inputs inputs) { return logical(node, inputs, std::logical_and<>{}); }
Outputs eval_or(const ir::Node& node, Inputs inputs) { return logical(node, inputs, std::logical_or<>{}); }
Outputs eval_xor(const ir::Node& node, Inputs inputs) { return logical(node, inputs, std::not_equal_to<>{}); }

Outputs eval_where(const ir::Node& node, Inputs inputs) {
  const Tensor &condition = *inputs[0], &a = *inputs[1], &b = *inputs[2];
  if (condition.dtype() != DType::boolean || a.dtype() != b.dtype())
    return wrong_type(node, condition.dtype());
  NARROW_TRY(Shape shape, broadcast_shape(node, a.shape(), b.shape()));
  NARROW_TRY(shape, broadcast_shape(node, condition.shape(), shape));
  NARROW_TRY(Tensor y, make_tensor(node, a.dtype(), shape));
  return for_words(node, a.dtype(), [&](auto tag) -> Outputs {
    using Word = decltype(tag);
    const bool* c = condition.data<bool>().data();
    const Word *pa = words<Word>(a), *pb = words<Word>(b);
    Word* dst = mutable_words<Word>(y);
    walk<3>(shape,
            {broadcast_strides(condition.shape(), shape), broadcast_strides(a.shape(), shape),
             broadcast_strides(b.shape(), shape)},
            [&](int64_t i, const auto& at) { dst[i] = c[at[0]] ? pa[at[1]] : pb[at[2]]; });
    return one(std::move(y));
  });
}

}  // namespace narrow::runtime::reference
