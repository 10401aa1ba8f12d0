// Result<T>: a value or an Error. No exception crosses a function of narrow.
#pragma once

#include <optional>
#include <utility>
#include <variant>

#include "base/check.h"
#include "base/error.h"

namespace narrow {

template <class T>
class [[nodiscard]] Result {
 public:
  using value_type = T;
  Result(T value)
      : state_(std::in_place_index<0>, std::move(value)) {}  // NOLINT(google-explicit-constructor)
  Result(Error error)
      : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT(google-explicit-constructor)

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }
  T& value() & { return get(); }
  const T& value() const& { return const_cast<Result*>(this)->get(); }
  T&& value() && { return std::move(get()); }
  T& operator*() & { return get(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(get()); }
  T* operator->() { return &get(); }
  const T* operator->() const { return &value(); }
  Error& error() & { return failure(); }
  const Error& error() const& { return const_cast<Result*>(this)->failure(); }
  Error&& error() && { return std::move(failure()); }

 private:
  T& get() {
    NARROW_CHECK(ok());
    return *std::get_if<0>(&state_);
  }
  Error& failure() {
    NARROW_CHECK(!ok());
    return *std::get_if<1>(&state_);
  }
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}  // NOLINT(google-explicit-constructor)
  bool ok() const { return !error_.has_value(); }
  explicit operator bool() const { return ok(); }
  Error& error() & {
    NARROW_CHECK(!ok());
    return *error_;
  }
  const Error& error() const& { return const_cast<Result*>(this)->error(); }
  Error&& error() && { return std::move(error()); }

 private:
  std::optional<Error> error_;
};

using Status = Result<void>;

}  // namespace narrow

#define NARROW_CONCAT_INNER(a, b) a##b
#define NARROW_CONCAT(a, b) NARROW_CONCAT_INNER(a, b)

/// NARROW_TRY(const Shape y, matmul_shape(a, b));  declares y, or returns the error from this function.
#define NARROW_TRY(declaration, ...) \
  NARROW_TRY_IMPL(NARROW_CONCAT(narrow_result_, __COUNTER__), declaration, __VA_ARGS__)
#define NARROW_TRY_IMPL(result, declaration, ...)     \
  auto result = (__VA_ARGS__);                        \
  if (!result.ok()) return std::move(result).error(); \
  declaration = std::move(result).value()

/// NARROW_DO(write(...));  returns the error of a Status (or Result, its value unused) from this function.
#define NARROW_DO(...) NARROW_DO_IMPL(NARROW_CONCAT(narrow_status_, __COUNTER__), __VA_ARGS__)
#define NARROW_DO_IMPL(status, ...)                     \
  do {                                                  \
    auto status = (__VA_ARGS__);                        \
    if (!status.ok()) return std::move(status).error(); \
  } while (false)
