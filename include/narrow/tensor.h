// A dense, row-major tensor in memory of its own or of the caller.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "narrow/error.h"

NARROW_BEGIN_NAMESPACE

/// Element types. f16 and bf16 have no C++ type here: their bits are behind raw(), two bytes each.
enum class DType : uint8_t { undefined, f32, f64, f16, bf16, s8, u8, s16, u16, s32, u32, s64, u64, boolean };

NARROW_API const char* to_string(DType type);
/// Bytes of one element; 0 for undefined.
NARROW_API int64_t bytes_of(DType type);

/// The element type that a C++ type is; undefined when it is none.
template <class T>
inline constexpr DType dtype_of = DType::undefined;
template <>
inline constexpr DType dtype_of<float> = DType::f32;
template <>
inline constexpr DType dtype_of<double> = DType::f64;
template <>
inline constexpr DType dtype_of<int8_t> = DType::s8;
template <>
inline constexpr DType dtype_of<uint8_t> = DType::u8;
template <>
inline constexpr DType dtype_of<int16_t> = DType::s16;
template <>
inline constexpr DType dtype_of<uint16_t> = DType::u16;
template <>
inline constexpr DType dtype_of<int32_t> = DType::s32;
template <>
inline constexpr DType dtype_of<uint32_t> = DType::u32;
template <>
inline constexpr DType dtype_of<int64_t> = DType::s64;
template <>
inline constexpr DType dtype_of<uint64_t> = DType::u64;
template <>
inline constexpr DType dtype_of<bool> = DType::boolean;

template <class T>
concept Element = (dtype_of<T> != DType::undefined);

using Shape = std::vector<int64_t>;

/// "[1,3,224,224]"
NARROW_API std::string to_string(const Shape& shape);

/// Copying a Tensor shares its memory; clone() does not. A default-made one is undefined: no type, no
/// elements.
class NARROW_API Tensor {
 public:
  Tensor() = default;
  /// Memory of its own, all zero bytes. Errors: invalid_argument (a negative dimension, an undefined type,
  /// more bytes than 63 bits count), internal (no memory).
  static Result<Tensor> zeros(DType type, Shape shape);
  /// Memory of the caller, which holds the elements row-major and outlives every copy of the tensor. The
  /// const form cannot be written to. Errors: as zeros(); invalid_argument (null with elements).
  static Result<Tensor> view(DType type, Shape shape, void* data);
  static Result<Tensor> view(DType type, Shape shape, const void* data);
  /// The same of `values`, whose number is checked against the shape. T may be const.
  template <class T>
  requires Element<std::remove_const_t<T>>
  static Result<Tensor> view(Shape shape, std::span<T> values) {
    auto tensor = view(dtype_of<std::remove_const_t<T>>, std::move(shape), values.data());
    if (tensor.ok() && tensor->elements() != static_cast<int64_t>(values.size()))
      return wrong_count(tensor->shape(), static_cast<int64_t>(values.size()));
    return tensor;
  }

  DType dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }
  int64_t elements() const { return elements_; }
  int64_t bytes() const { return elements_ * bytes_of(dtype_); }
  bool defined() const { return dtype_ != DType::undefined; }
  bool writable() const { return writable_; }

  const void* raw() const { return data_; }
  /// Null when the tensor is not writable.
  void* mutable_raw() { return writable_ ? data_ : nullptr; }
  /// The elements. Errors: invalid_argument (they are no T; mutable_data: not writable).
  template <Element T>
  Result<std::span<const T>> data() const {
    if (dtype_of<T> != dtype_) return wrong_type(dtype_of<T>);
    return std::span<const T>(static_cast<const T*>(data_), static_cast<size_t>(elements_));
  }
  template <Element T>
  Result<std::span<T>> mutable_data() {
    if (dtype_of<T> != dtype_) return wrong_type(dtype_of<T>);
    if (!writable_) return not_writable();
    return std::span<T>(static_cast<T*>(data_), static_cast<size_t>(elements_));
  }
  /// A copy with memory of its own. Errors: internal (no memory).
  Result<Tensor> clone() const;

 private:
  static Result<Tensor> make(DType type, Shape shape, const void* data, bool writable);
  static Error wrong_count(const Shape& shape, int64_t count);
  Error wrong_type(DType asked) const;
  Error not_writable() const;

  DType dtype_ = DType::undefined;
  bool writable_ = false;
  Shape shape_;
  int64_t elements_ = 0;
  void* data_ = nullptr;
  std::shared_ptr<void> owner_;  // null: the memory is the caller's
};

/// Named tensors, as a model takes and gives them.
using Tensors = std::map<std::string, Tensor, std::less<>>;

NARROW_END_NAMESPACE
