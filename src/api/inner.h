// The engine's types and the public ones in one file. Both are narrow::NAME (the public ones through the
// inline namespace v0), so the engine's get names of their own here, before the public headers make the short
// ones ambiguous.
#pragma once

#include <exception>
#include <type_traits>
#include <utility>

#include "runtime/session.h"

namespace narrow::inner {
using narrow::bytes_of;
using narrow::checked_elements;
using narrow::Code;
using narrow::DType;
using narrow::Error;
using narrow::Result;
using narrow::Tensor;
using narrow::TensorMap;
using narrow::ThreadPool;
using narrow::to_string;
using runtime::Session;
}  // namespace narrow::inner

#include "narrow/narrow.h"

NARROW_BEGIN_NAMESPACE

static_assert(static_cast<int>(Code::internal) == static_cast<int>(inner::Code::internal));
static_assert(static_cast<int>(DType::boolean) == static_cast<int>(inner::DType::boolean));

/// A number that is no type becomes undefined.
inline inner::DType lower(DType type) {
  const auto lowered = static_cast<inner::DType>(type);
  return lowered <= inner::DType::u2 ? lowered : inner::DType::undefined;
}
inline DType lift(inner::DType type) { return static_cast<DType>(type); }
inline Error lift(inner::Error error) {
  return {.code = static_cast<Code>(error.code),
          .subject = std::move(error.subject),
          .expected = std::move(error.expected),
          .got = std::move(error.got),
          .hint = std::move(error.hint)};
}

/// f(), a Result; what the standard library throws in it (memory ran out, a thread cannot start) becomes its
/// error.
template <class F>
std::invoke_result_t<F> without_exceptions(F&& f) noexcept {
  try {
    return f();
  } catch (const std::exception& e) {
    return Error{.code = Code::internal, .subject = "narrow", .got = e.what()};
  }
}

NARROW_END_NAMESPACE
