// A dense, row-major tensor: element type, shape, and shared storage that it owns or borrows.
#pragma once

#include <algorithm>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "base/aligned.h"
#include "base/check.h"
#include "base/result.h"
#include "tensor/dtype.h"

namespace narrow {

using Shape = std::vector<int64_t>;

int64_t elements_of(const Shape& shape);                     // 1 for a scalar
std::string to_string(const Shape& shape);                   // "[1,3,224,224]"
std::vector<int64_t> row_major_strides(const Shape& shape);  // in elements
/// elements_of with overflow and sign checked: for shapes that come from outside.
Result<int64_t> checked_elements(const Shape& shape, int64_t element_bytes);

/// Copying a Tensor shares its storage. Writing goes through mutable_*(), which a borrowed tensor does not
/// allow.
class Tensor {
 public:
  Tensor() = default;
  /// Uninitialised storage of its own.
  static Tensor allocate(DType type, Shape shape);
  static Tensor zeros(DType type, Shape shape);
  /// Views foreign memory (a mapped file); `owner` keeps it alive, may be null when the caller does.
  static Tensor borrow(DType type, Shape shape, const void* data, std::shared_ptr<const void> owner);
  /// Storage that `fill` writes (bytes() of it) when the elements are first read, from whatever thread.
  static Tensor deferred(DType type, Shape shape, std::function<void(std::byte*)> fill);
  template <class T>
  static Tensor of(Shape shape, std::span<const T> values) {
    Tensor t = allocate(DTypeOf<T>::value, std::move(shape));
    NARROW_CHECK(t.elements() == static_cast<int64_t>(values.size()));
    std::copy(values.begin(), values.end(), t.mutable_data<T>().begin());
    return t;
  }
  template <class T>
  static Tensor of(Shape shape, const std::vector<T>& values) {
    return of(std::move(shape), std::span<const T>(values));
  }
  template <class T>
  static Tensor scalar(T value) {
    return of(Shape{}, std::span<const T>(&value, 1));
  }

  DType dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }
  int64_t rank() const { return static_cast<int64_t>(shape_.size()); }
  int64_t dim(int64_t axis) const { return shape_.at(static_cast<size_t>(axis)); }
  int64_t elements() const { return elements_; }
  int64_t bytes() const { return elements_ * bytes_of(dtype_); }
  bool defined() const { return dtype_ != DType::undefined; }

  const void* raw() const { return deferred_ == nullptr ? data_ : deferred_->data(); }
  /// Equal for tensors that share storage and its start; reads nothing.
  const void* identity() const { return deferred_ == nullptr ? data_ : deferred_.get(); }
  void* mutable_raw() {
    NARROW_CHECK(writable_);
    return const_cast<void*>(data_);
  }
  template <class T>
  std::span<const T> data() const {
    NARROW_CHECK(DTypeOf<T>::value == dtype_);
    return {static_cast<const T*>(raw()), static_cast<size_t>(elements_)};
  }
  template <class T>
  std::span<T> mutable_data() {
    NARROW_CHECK(DTypeOf<T>::value == dtype_ && writable_);
    return {static_cast<T*>(const_cast<void*>(data_)), static_cast<size_t>(elements_)};
  }

  /// The same storage under another shape of as many elements.
  Tensor reshaped(Shape shape) const;
  /// A deep copy with storage of its own.
  Tensor clone() const;
  bool same_bits(const Tensor& other) const;

 private:
  class Deferred {
   public:
    Deferred(int64_t bytes, std::function<void(std::byte*)> fill) : bytes_(bytes), fill_(std::move(fill)) {}
    const void* data();

   private:
    int64_t bytes_;
    std::function<void(std::byte*)> fill_;
    std::once_flag once_;
    AlignedBuffer storage_;
  };

  DType dtype_ = DType::undefined;
  Shape shape_;
  int64_t elements_ = 0;
  const void* data_ = nullptr;
  bool writable_ = false;
  std::shared_ptr<const void> owner_;
  std::shared_ptr<Deferred> deferred_;
};

/// Named tensors, as a model takes and gives them.
using TensorMap = std::map<std::string, Tensor>;

/// Every element as float / int64, as cast() converts. Any dtype.
std::vector<float> to_floats(const Tensor& tensor);
std::vector<int64_t> to_ints(const Tensor& tensor);
/// What the attributes saturate and round_mode of ONNX Cast say about 8-bit floats and E8M0.
struct CastOptions {
  Overflow overflow = Overflow::saturate;
  ScaleRounding rounding = ScaleRounding::up;
};
/// Element-wise conversion with ONNX Cast semantics: to a float rounds once, to nearest even; float to
/// integer truncates and, where ONNX leaves it open, saturates (NaN: 0), below 8 bits keeps the low bits as
/// the cases of the onnx package expect; integers wrap; to bool: != 0.
Tensor cast(const Tensor& tensor, DType to, const CastOptions& options = {});
/// The same numbers (NaN like NaN), whatever the types: nothing was lost between the two.
bool same_values(const Tensor& a, const Tensor& b);

}  // namespace narrow
