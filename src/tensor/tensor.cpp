#include "tensor/tensor.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <limits>
#include <type_traits>

namespace narrow {

int64_t elements_of(const Shape& shape) {
  int64_t n = 1;
  for (const int64_t d : shape) n *= d;
  return n;
}

std::string to_string(const Shape& shape) { return fmt::format("[{}]", fmt::join(shape, ",")); }

std::vector<int64_t> row_major_strides(const Shape& shape) {
  std::vector<int64_t> strides(shape.size(), 1);
  for (size_t i = shape.size(); i-- > 1;) strides[i - 1] = strides[i] * shape[i];
  return strides;
}

Result<int64_t> checked_elements(const Shape& shape, int64_t element_bytes) {
  int64_t n = 1, bytes = element_bytes;
  for (const int64_t d : shape)
    if (d < 0 || __builtin_mul_overflow(n, d, &n) ||
        __builtin_mul_overflow(bytes, std::max<int64_t>(d, 1), &bytes))
      return Error{.code = Code::invalid_data,
                   .subject = "shape " + to_string(shape),
                   .expected = "dimensions >= 0 that fit in 63 bits",
                   .got = fmt::format("{}", d)};
  return n;
}

Tensor Tensor::allocate(DType type, Shape shape) {
  Tensor t;
  t.dtype_ = type;
  t.elements_ = elements_of(shape);
  t.shape_ = std::move(shape);
  auto storage = std::make_shared<AlignedBuffer>(t.bytes());
  t.data_ = storage->data();
  t.owner_ = std::move(storage);
  t.writable_ = true;
  return t;
}

Tensor Tensor::zeros(DType type, Shape shape) {
  Tensor t = allocate(type, std::move(shape));
  std::memset(t.mutable_raw(), 0, static_cast<size_t>(t.bytes()));
  return t;
}

Tensor Tensor::borrow(DType type, Shape shape, const void* data, std::shared_ptr<const void> owner) {
  Tensor t;
  t.dtype_ = type;
  t.elements_ = elements_of(shape);
  t.shape_ = std::move(shape);
  t.data_ = data;
  t.owner_ = std::move(owner);
  return t;
}

Tensor Tensor::reshaped(Shape shape) const {
  NARROW_CHECK(elements_of(shape) == elements_);
  Tensor t = *this;
  t.shape_ = std::move(shape);
  return t;
}

Tensor Tensor::clone() const {
  if (!defined()) return {};
  Tensor t = allocate(dtype_, shape_);
  if (bytes() > 0) std::memcpy(t.mutable_raw(), data_, static_cast<size_t>(bytes()));
  return t;
}

bool Tensor::same_bits(const Tensor& other) const {
  return dtype_ == other.dtype_ && shape_ == other.shape_ &&
         (bytes() == 0 || std::memcmp(data_, other.data_, static_cast<size_t>(bytes())) == 0);
}

namespace {

/// ONNX Cast for one element. Out-of-range float to integer is undefined in ONNX; narrow saturates and maps
/// NaN to 0.
template <class To, class From>
To cast_one(From from) {
  constexpr bool from_small = std::is_same_v<From, bf16> || std::is_same_v<From, f16>;
  if constexpr (from_small) {
    return cast_one<To>(static_cast<float>(from));
  } else if constexpr (std::is_same_v<To, bool>) {
    return from != From{};
  } else if constexpr (std::is_same_v<To, bf16> || std::is_same_v<To, f16>) {
    return To(static_cast<float>(from));
  } else if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To>) {
    if (from != from) return 0;
    if (from <= static_cast<From>(std::numeric_limits<To>::min())) return std::numeric_limits<To>::min();
    if (from >= static_cast<From>(std::numeric_limits<To>::max())) return std::numeric_limits<To>::max();
    return static_cast<To>(from);
  } else {
    return static_cast<To>(from);
  }
}

template <class To>
void cast_into(const Tensor& from, std::span<To> to) {
  if (from.dtype() == DType::boolean) {
    // As bytes: what a file holds for true need not be 1.
    const auto* src = static_cast<const uint8_t*>(from.raw());
    for (size_t i = 0; i < to.size(); ++i) to[i] = cast_one<To>(src[i] != 0);
    return;
  }
  dispatch(from.dtype(), [&](auto tag) {
    using From = decltype(tag);
    const std::span<const From> src = from.data<From>();
    for (size_t i = 0; i < to.size(); ++i) to[i] = cast_one<To>(src[i]);
  });
}

}  // namespace

std::vector<float> to_floats(const Tensor& tensor) {
  std::vector<float> out(static_cast<size_t>(tensor.elements()));
  cast_into<float>(tensor, out);
  return out;
}

std::vector<int64_t> to_ints(const Tensor& tensor) {
  std::vector<int64_t> out(static_cast<size_t>(tensor.elements()));
  cast_into<int64_t>(tensor, out);
  return out;
}

Tensor cast(const Tensor& tensor, DType to) {
  if (tensor.dtype() == to) return tensor;
  Tensor out = Tensor::allocate(to, tensor.shape());
  dispatch(to, [&](auto tag) { cast_into(tensor, out.mutable_data<decltype(tag)>()); });
  return out;
}

}  // namespace narrow
