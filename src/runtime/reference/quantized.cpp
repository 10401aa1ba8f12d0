#include "runtime/reference/quantized.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "kernels/requantize.h"

namespace narrow::runtime::reference {

Result<Spread> spread(const ir::Node& node, const Tensor* t, const Shape& shape, int64_t axis,
                      int64_t block_size) {
  if (t == nullptr) return Spread{{0.0}, {}};
  Spread s{to_doubles(*t), {}};
  if (t->elements() == 1 && t->rank() <= 1) return s;
  NARROW_TRY(axis, normal_axis(node, axis, static_cast<int64_t>(shape.size())));
  const auto along = static_cast<size_t>(axis);
  Shape wanted = shape;
  if (block_size > 0) {
    wanted[along] = shape[along] / block_size + (shape[along] % block_size != 0 ? 1 : 0);
  } else {
    wanted = {shape[along]};
  }
  if (t->shape() != wanted)
    return invalid(node, "parameters of shape " + to_string(wanted), to_string(t->shape()));
  const AxisView v = view_axis(shape, axis);
  const int64_t blocks = wanted[block_size > 0 ? along : 0];
  s.at.resize(static_cast<size_t>(elements_of(shape)));
  for (size_t i = 0; i < s.at.size(); ++i) {
    const auto e = static_cast<int64_t>(i);
    const int64_t index = e / v.inner % v.size;
    s.at[i] = block_size > 0 ? (e / (v.inner * v.size) * blocks + index / block_size) * v.inner + e % v.inner
                             : index;
  }
  return s;
}

Result<double> scale_of(const ir::Node& node, const Tensor* t) {
  if (t == nullptr) return 0.0;
  return real_scalar(node, *t);
}

Result<int32_t> zero_point_of(const ir::Node& node, const Tensor* t) {
  if (t == nullptr) return 0;
  NARROW_TRY(const int64_t zero, int_scalar(node, *t));
  if (zero < -65536 || zero > 65536)
    return invalid(node, "a zero point within 16 bits", std::to_string(zero));
  return static_cast<int32_t>(zero);
}

Result<IntegerRange> range_of(const ir::Node& node, DType type) {
  switch (type) {
    case DType::u8:
      return kRangeU8;
    case DType::s8:
      return kRangeS8;
    case DType::u16:
      return IntegerRange{0, 65535};
    case DType::s16:
      return IntegerRange{-32768, 32767};
    case DType::u4:
      return IntegerRange{0, 15};
    case DType::s4:
      return IntegerRange{-8, 7};
    case DType::u2:
      return IntegerRange{0, 3};
    case DType::s2:
      return IntegerRange{-2, 1};
    case DType::s32:
      return IntegerRange{std::numeric_limits<int32_t>::min(), std::numeric_limits<int32_t>::max()};
    default:
      return wrong_type(node, type);
  }
}

Tensor to_integer_tensor(DType type, const Shape& shape, const std::vector<int32_t>& values) {
  return cast(Tensor::of(shape, values), type);
}

namespace {
Status check_parameters(const ir::Node& node, const Quantization& q, const Shape& shape) {
  const size_t wanted = q.per_tensor() ? 1
                        : q.axis < static_cast<int64_t>(shape.size())
                            ? static_cast<size_t>(shape[static_cast<size_t>(q.axis)])
                            : 0;
  if (q.scale.size() == wanted && q.zero_point.size() == wanted) return {};
  return invalid(node, fmt::format("{} scales and zero points for {}", wanted, to_string(shape)),
                 std::to_string(q.scale.size()));
}

/// f(element, channel) in row-major order.
template <class F>
void for_each_channel(const Shape& shape, const Quantization& q, F f) {
  const AxisView v = q.per_tensor() ? AxisView{1, 1, elements_of(shape)} : view_axis(shape, q.axis);
  for (int64_t i = 0; i < elements_of(shape); ++i)
    f(static_cast<size_t>(i), static_cast<size_t>(i / v.inner % v.size));
}
}  // namespace

Result<Tensor> dequantize_value(const ir::Node& node, const Tensor& x, const Quantization& q) {
  NARROW_DO(range_of(node, x.dtype()));
  NARROW_DO(check_parameters(node, q, x.shape()));
  NARROW_TRY(Tensor y, make_tensor(node, DType::f32, x.shape()));
  const std::vector<int64_t> integers = to_ints(x);
  const auto to = y.mutable_data<float>();
  for_each_channel(x.shape(), q, [&](size_t i, size_t c) {
    to[i] = static_cast<float>(integers[i] - q.zero_point[c]) * q.scale[c];
  });
  return y;
}

Result<Tensor> quantize_value(const ir::Node& node, const Tensor& x, const Quantization& q, DType type) {
  NARROW_TRY(const IntegerRange range, range_of(node, type));
  NARROW_DO(check_parameters(node, q, x.shape()));
  const std::vector<float> reals = to_floats(x);
  std::vector<int32_t> integers(reals.size());
  for_each_channel(x.shape(), q, [&](size_t i, size_t c) {
    integers[i] = kernels::requantize_real(reals[i], q.scale[c], q.zero_point[c], range.low, range.high);
  });
  return to_integer_tensor(type, x.shape(), integers);
}

}  // namespace narrow::runtime::reference
