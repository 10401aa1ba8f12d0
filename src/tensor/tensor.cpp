#include "tensor/tensor.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <limits>
#include <type_traits>

#include "numerics/rounding.h"

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

Tensor Tensor::deferred(DType type, Shape shape, std::function<void(std::byte*)> fill) {
  Tensor t;
  t.dtype_ = type;
  t.elements_ = elements_of(shape);
  t.shape_ = std::move(shape);
  t.deferred_ = std::make_shared<Deferred>(t.bytes(), std::move(fill));
  return t;
}

const void* Tensor::Deferred::data() {
  std::call_once(once_, [&] {
    storage_ = AlignedBuffer(bytes_);
    fill_(storage_.data());
    fill_ = nullptr;
  });
  return storage_.data();
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
  if (bytes() > 0) std::memcpy(t.mutable_raw(), raw(), static_cast<size_t>(bytes()));
  return t;
}

bool Tensor::same_bits(const Tensor& other) const {
  return dtype_ == other.dtype_ && shape_ == other.shape_ &&
         (bytes() == 0 || std::memcmp(raw(), other.raw(), static_cast<size_t>(bytes())) == 0);
}

namespace {

/// ONNX Cast for one element. Out-of-range float to integer is undefined in ONNX; narrow saturates and maps
/// NaN to 0.
template <class To, class From>
To cast_one(From from) {
  constexpr bool from_small = std::is_same_v<From, bf16> || std::is_same_v<From, f16>;
  constexpr bool to_small = std::is_same_v<To, bf16> || std::is_same_v<To, f16>;
  if constexpr (from_small) {
    return cast_one<To>(static_cast<float>(from));
  } else if constexpr (std::is_same_v<To, bool>) {
    return from != From{};
  } else if constexpr (to_small && std::is_same_v<From, float>) {
    return To(from);
  } else if constexpr (to_small) {
    return To(round_to_odd(static_cast<double>(from)));
  } else if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To>) {
    if (from != from) return 0;
    if (from <= static_cast<From>(std::numeric_limits<To>::min())) return std::numeric_limits<To>::min();
    if (from >= static_cast<From>(std::numeric_limits<To>::max())) return std::numeric_limits<To>::max();
    return static_cast<To>(from);
  } else {
    return static_cast<To>(from);
  }
}

/// A narrow float, or an integer of less than 8 bits.
template <class T>
T narrow_one(double x, const CastOptions& options) {
  if constexpr (std::is_same_v<T, e8m0>)
    return T(x, options.overflow, options.rounding);
  else if constexpr (std::is_constructible_v<T, double, Overflow>)
    return T(x, options.overflow);
  else
    return T::wrap(cast_one<int64_t>(x));
}

Tensor cast_to_narrow(const Tensor& from, DType to, const CastOptions& options) {
  Tensor out = Tensor::allocate(to, from.shape());
  const bool whole = is_narrow_integer(to) && is_integer(from.dtype());
  const std::vector<int64_t> integers = whole ? to_ints(from) : std::vector<int64_t>();
  const Tensor wide = whole ? Tensor() : cast(from, DType::f64);
  dispatch_narrow(to, [&](auto tag) {
    using To = decltype(tag);
    const std::span<To> dst = out.mutable_data<To>();
    if constexpr (requires { To::wrap(0); })
      for (size_t i = 0; i < integers.size(); ++i) dst[i] = To::wrap(integers[i]);
    if (!whole)
      for (size_t i = 0; i < dst.size(); ++i) dst[i] = narrow_one<To>(wide.data<double>()[i], options);
  });
  return out;
}

/// Exact: every narrow type is a subset of f32.
Tensor widen(const Tensor& from) {
  Tensor out = Tensor::allocate(DType::f32, from.shape());
  const std::span<float> dst = out.mutable_data<float>();
  dispatch_narrow(from.dtype(), [&](auto tag) {
    const auto src = from.data<decltype(tag)>();
    for (size_t i = 0; i < dst.size(); ++i) dst[i] = static_cast<float>(src[i]);
  });
  return out;
}

template <class To>
void cast_into(const Tensor& given, std::span<To> to) {
  const Tensor from = is_narrow(given.dtype()) ? widen(given) : given;
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

Tensor cast(const Tensor& tensor, DType to, const CastOptions& options) {
  if (tensor.dtype() == to) return tensor;
  if (is_narrow(to)) return cast_to_narrow(tensor, to, options);
  Tensor out = Tensor::allocate(to, tensor.shape());
  dispatch(to, [&](auto tag) { cast_into(tensor, out.mutable_data<decltype(tag)>()); });
  return out;
}

bool same_values(const Tensor& a, const Tensor& b) {
  if (a.shape() != b.shape()) return false;
  if (is_integer(a.dtype()) && is_integer(b.dtype())) return to_ints(a) == to_ints(b);
  const Tensor x = cast(a, DType::f64), y = cast(b, DType::f64);
  return std::equal(x.data<double>().begin(), x.data<double>().end(), y.data<double>().begin(),
                    [](double p, double q) { return p == q || (p != p && q != q); });
}

}  // namespace narrow
