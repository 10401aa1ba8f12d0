// Errors are values: what went wrong, and Result<T>, a value or an Error.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "narrow/api.h"

NARROW_BEGIN_NAMESPACE

enum class Code {
  usage,             // of the command line; the library does not return it
  invalid_argument,  // a value given to a function or option
  invalid_model,     // a model or artifact file
  invalid_data,      // an input tensor
  unsupported,       // correct, but narrow cannot do it
  not_found,         // a file, a name
  io,                // reading failed
  numerical,         // NaN, Inf, overflow
  internal,          // a defect of narrow that was caught in time, or memory ran out
};

NARROW_API const char* to_string(Code code);

struct Error {
  Code code = Code::internal;
  std::string subject = {};   // "input 'image'"
  std::string expected = {};  // "f32[N,3,224,224]"
  std::string got = {};       // "[1,3,200,200]"
  std::string hint = {};      // what to do; may be empty

  /// "subject: expected E, got G (hint)"; empty parts are left out.
  NARROW_API std::string message() const;
};

namespace detail {
/// Prints the error that nobody looked at and aborts.
[[noreturn]] NARROW_API void no_value(const Error& error);
}  // namespace detail

/// A value or an Error. Taking the value of an error ends the process with the error's message: ask ok()
/// first.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

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
  /// Precondition: !ok().
  const Error& error() const { return *std::get_if<1>(&state_); }

 private:
  T& get() {
    if (!ok()) detail::no_value(error());
    return *std::get_if<0>(&state_);
  }
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}
  bool ok() const { return !error_.has_value(); }
  explicit operator bool() const { return ok(); }
  /// Precondition: !ok().
  const Error& error() const { return *error_; }

 private:
  std::optional<Error> error_;
};

using Status = Result<void>;

NARROW_END_NAMESPACE
