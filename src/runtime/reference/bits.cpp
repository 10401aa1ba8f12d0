// Integers as bits: shifts, and, or, xor, not, and bits read as another type.
#include <functional>

#include "runtime/reference/functions.h"

namespace narrow::runtime::reference {
namespace {

/// Sign and width matter to shifts only, but every type has its own words.
template <class F>
Outputs zip_integers(const ir::Node& node, Inputs inputs, F f) {
  const Tensor &a = *inputs[0], &b = *inputs[1];
  if (!is_integer(a.dtype()) || a.dtype() != b.dtype()) return wrong_type(node, b.dtype());
  NARROW_TRY(const Shape shape, broadcast_shape(node, a.shape(), b.shape()));
  NARROW_TRY(Tensor y, make_tensor(node, a.dtype(), shape));
  return for_numbers(node, a.dtype(), [&](auto tag) -> Outputs {
    using T = decltype(tag);
    if constexpr (std::is_integral_v<T>) {
      const auto pa = a.data<T>(), pb = b.data<T>();
      const auto py = y.template mutable_data<T>();
      walk<2>(shape, {broadcast_strides(a.shape(), shape), broadcast_strides(b.shape(), shape)},
              [&](int64_t i, const auto& at) {
                py[static_cast<size_t>(i)] =
                    static_cast<T>(f(pa[static_cast<size_t>(at[0])], pb[static_cast<size_t>(at[1])]));
              });
    }
    return one(std::move(y));
  });
}

}  // namespace

/// Bits that leave the type are gone; a shift by the width or more (or a negative one) leaves 0, or the sign.
Outputs eval_bit_shift(const ir::Node& node, Inputs inputs) {
  const bool left = node.string_attr("direction", "") == "LEFT";
  return zip_integers(node, inputs, [left](auto x, auto by) {
    using T = decltype(x);
    const auto count = static_cast<uint64_t>(by);
    if (count >= 8 * sizeof(T)) return static_cast<T>(!left && x < T{0} ? T(-1) : T{0});
    return left ? static_cast<T>(static_cast<uint64_t>(x) << count) : static_cast<T>(x >> count);
  });
}

Outputs eval_bitwise_and(const ir::Node& node, Inputs inputs) {
  return zip_integers(node, inputs, std::bit_and<>{});
}
Outputs eval_bitwise_or(const ir::Node& node, Inputs inputs) {
  return zip_integers(node, inputs, std::bit_or<>{});
}
Outputs eval_bitwise_xor(const ir::Node& node, Inputs inputs) {
  return zip_integers(node, inputs, std::bit_xor<>{});
}

Outputs eval_bitwise_not(const ir::Node& node, Inputs inputs) {
  const Tensor& x = *inputs[0];
  if (!is_integer(x.dtype())) return wrong_type(node, x.dtype());
  NARROW_TRY(Tensor y, make_tensor(node, x.dtype(), x.shape()));
  const auto* from = static_cast<const uint8_t*>(x.raw());
  auto* to = static_cast<uint8_t*>(y.mutable_raw());
  for (int64_t i = 0; i < x.bytes(); ++i) to[i] = static_cast<uint8_t>(~from[i]);
  return one(std::move(y));
}

Outputs eval_bit_cast(const ir::Node& node, Inputs inputs) {
  const Tensor& x = *inputs[0];
  NARROW_TRY(const DType to, onnx_dtype(node, node.int_attr("to", 0)));
  if (bits_of(to) != bits_of(x.dtype()))
    return invalid(node, std::string("a type as wide as ") + to_string(x.dtype()), to_string(to));
  NARROW_TRY(Tensor y, make_tensor(node, to, x.shape()));
  if (x.bytes() > 0) std::memcpy(y.mutable_raw(), x.raw(), static_cast<size_t>(x.bytes()));
  return one(std::move(y));
}

}  // namespace narrow::runtime::reference
