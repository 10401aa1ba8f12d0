#include <cstring>

#include "api/inner.h"

NARROW_BEGIN_NAMESPACE

const char* to_string(DType type) { return inner::to_string(lower(type)); }
int64_t bytes_of(DType type) { return inner::bytes_of(lower(type)); }
std::string to_string(const Shape& shape) { return inner::to_string(shape); }

Result<Tensor> Tensor::make(DType type, Shape shape, const void* data, bool writable) {
  if (bytes_of(type) == 0)
    return Error{.code = Code::invalid_argument,
                 .subject = "tensor",
                 .expected = "an element type",
                 .got = "undefined"};
  auto elements = inner::checked_elements(shape, bytes_of(type));
  if (!elements.ok()) {
    Error error = lift(std::move(elements).error());
    error.code = Code::invalid_argument;
    return error;
  }
  Tensor tensor;
  tensor.dtype_ = type;
  tensor.writable_ = writable;
  tensor.shape_ = std::move(shape);
  tensor.elements_ = *elements;
  tensor.data_ = const_cast<void*>(data);
  return tensor;
}

Result<Tensor> Tensor::zeros(DType type, Shape shape) {
  return without_exceptions([&]() -> Result<Tensor> {
    auto tensor = make(type, std::move(shape), nullptr, true);
    if (!tensor) return tensor;
    auto memory = std::make_shared<std::byte[]>(static_cast<size_t>(tensor->bytes()));
    tensor->data_ = memory.get();
    tensor->owner_ = std::move(memory);
    return tensor;
  });
}

namespace {

Result<Tensor> not_null(Result<Tensor> tensor) {
  if (tensor.ok() && tensor->elements() > 0 && tensor->raw() == nullptr)
    return Error{.code = Code::invalid_argument,
                 .subject = "tensor " + to_string(tensor->shape()),
                 .expected = "memory",
                 .got = "a null pointer"};
  return tensor;
}

}  // namespace

Result<Tensor> Tensor::view(DType type, Shape shape, void* data) {
  return without_exceptions([&] { return not_null(make(type, std::move(shape), data, true)); });
}

Result<Tensor> Tensor::view(DType type, Shape shape, const void* data) {
  return without_exceptions([&] { return not_null(make(type, std::move(shape), data, false)); });
}

Result<Tensor> Tensor::clone() const {
  if (!defined()) return Tensor();
  auto copy = zeros(dtype_, shape_);
  if (copy.ok() && bytes() > 0) std::memcpy(copy->data_, data_, static_cast<size_t>(bytes()));
  return copy;
}

Error Tensor::wrong_count(const Shape& shape, int64_t count) {
  return {.code = Code::invalid_argument,
          .subject = "tensor " + to_string(shape),
          .expected = "as many values as the shape has elements",
          .got = std::to_string(count)};
}

Error Tensor::wrong_type(DType asked) const {
  return {.code = Code::invalid_argument,
          .subject = "tensor " + to_string(shape_),
          .expected = to_string(dtype_),
          .got = std::string("a request for ") + to_string(asked)};
}

Error Tensor::not_writable() const {
  return {.code = Code::invalid_argument,
          .subject = "tensor " + to_string(shape_),
          .expected = "memory that may be written",
          .got = "a view of constant memory"};
}

NARROW_END_NAMESPACE
