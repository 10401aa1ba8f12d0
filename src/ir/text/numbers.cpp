#include "ir/text/numbers.h"

#include <fmt/format.h>

#include <bit>
#include <charconv>
#include <cmath>
#include <iterator>
#include <type_traits>

namespace narrow::ir::text {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

/// Bits of a float format and its quiet NaN, which alone is written as "nan".
template <class T>
struct Format;
template <>
struct Format<float> {
  using Bits = uint32_t;
  static constexpr Bits kNan = 0x7fc00000;
};
template <>
struct Format<double> {
  using Bits = uint64_t;
  static constexpr Bits kNan = 0x7ff8000000000000;
};
template <>
struct Format<f16> {
  using Bits = uint16_t;
  static constexpr Bits kNan = 0x7e00;
};
template <>
struct Format<bf16> {
  using Bits = uint16_t;
  static constexpr Bits kNan = 0x7fc0;
};

/// The number in the type that prints and parses it: double for double, float for the others.
template <class T>
using Carrier = std::conditional_t<std::is_same_v<T, double>, double, float>;

template <class T>
void append_real(std::string& out, T value) {
  const auto bits = std::bit_cast<typename Format<T>::Bits>(value);
  const auto number = static_cast<Carrier<T>>(value);
  const auto to = std::back_inserter(out);
  if (!std::isnan(number)) {
    fmt::format_to(to, std::is_same_v<T, double> ? "{:.17g}" : "{:.9g}", number);
  } else if (bits == Format<T>::kNan) {
    out += "nan";
  } else {
    fmt::format_to(to, "0x{:0{}x}", bits, 2 * sizeof(bits));
  }
}

template <class T>
std::optional<T> read_whole(std::string_view token, auto... base) {
  T value{};
  const auto [end, error] = std::from_chars(token.data(), token.data() + token.size(), value, base...);
  if (error != std::errc() || end != token.data() + token.size()) return std::nullopt;
  return value;
}

template <class T>
std::optional<T> read_real(std::string_view token) {
  using Bits = typename Format<T>::Bits;
  if (token == "nan") return std::bit_cast<T>(Format<T>::kNan);
  if (token.starts_with("0x")) {
    const auto bits = read_whole<Bits>(token.substr(2), 16);
    return bits ? std::optional(std::bit_cast<T>(*bits)) : std::nullopt;
  }
  const auto number = read_whole<Carrier<T>>(token);
  if (!number || std::isnan(*number)) return std::nullopt;
  return static_cast<T>(*number);
}

template <class T>
bool read_into(std::span<T> to, const std::vector<std::string_view>& tokens) {
  for (size_t i = 0; i < to.size(); ++i) {
    std::optional<T> value;
    if constexpr (std::is_same_v<T, bool>) {
      if (tokens[i] == "0" || tokens[i] == "1") value = tokens[i] == "1";
    } else if constexpr (std::is_integral_v<T>) {
      value = read_whole<T>(tokens[i]);
    } else {
      value = read_real<T>(tokens[i]);
    }
    if (!value) return false;
    to[i] = *value;
  }
  return true;
}

}  // namespace

bool is_word(char c) {
  return is_letter(c) || is_digit(c) || c == '_' || c == '.' || c == '/' || c == ':' || c == '-';
}

bool is_bare(std::string_view name) {
  if (name.empty() || name.back() == ':') return false;
  for (const char c : name)
    if (!is_word(c)) return false;
  return true;
}

void append_quoted(std::string& out, std::string_view text) {
  out += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      fmt::format_to(std::back_inserter(out), "\\x{:02x}", static_cast<unsigned char>(c));
    } else {
      out += c;
    }
  }
  out += '"';
}

void append_float(std::string& out, float value, bool marked) {
  const size_t start = out.size();
  append_real(out, value);
  if (marked && !looks_float(std::string_view(out).substr(start))) out += ".0";
}

namespace {

/// Integers by value, floats by number; NaN by its code, as 0x7f.
void append_narrow(std::string& out, const Tensor& tensor) {
  dispatch_narrow(tensor.dtype(), [&](auto tag) {
    using T = decltype(tag);
    for (size_t i = 0; i < tensor.data<T>().size(); ++i) {
      const T element = tensor.data<T>()[i];
      if (i > 0) out += ',';
      if constexpr (requires { T::wrap(0); }) {
        fmt::format_to(std::back_inserter(out), "{}", element.bits);
      } else if (element.is_nan()) {
        fmt::format_to(std::back_inserter(out), "0x{:02x}", element.bits);
      } else {
        append_real(out, element.value());
      }
    }
  });
}

template <class T>
bool read_narrow(std::span<T> to, const std::vector<std::string_view>& tokens) {
  for (size_t i = 0; i < to.size(); ++i) {
    if constexpr (requires { T::wrap(0); }) {
      const auto value = read_whole<int64_t>(tokens[i]);
      if (!value || T::wrap(*value).bits != *value) return false;
      to[i] = T::wrap(*value);
    } else if (tokens[i].starts_with("0x")) {
      const auto bits = read_whole<uint8_t>(tokens[i].substr(2), 16);
      if (!bits || T::from_bits(*bits).bits != *bits) return false;
      to[i] = T::from_bits(*bits);
    } else {
      const auto value = read_real<float>(tokens[i]);
      if (!value) return false;
      to[i] = T(static_cast<double>(*value), Overflow::special);
      if (to[i].is_nan()) return false;  // beyond the type's range
    }
  }
  return true;
}

}  // namespace

void append_elements(std::string& out, const Tensor& tensor) {
  out += '[';
  append_narrow(out, tensor);
  dispatch(tensor.dtype(), [&](auto tag) {
    using T = decltype(tag);
    for (size_t i = 0; i < tensor.data<T>().size(); ++i) {
      if (i > 0) out += ',';
      if constexpr (std::is_same_v<T, bool>) {
        out += tensor.data<T>()[i] ? '1' : '0';
      } else if constexpr (std::is_integral_v<T>) {
        fmt::format_to(std::back_inserter(out), "{}", tensor.data<T>()[i]);
      } else {
        append_real(out, tensor.data<T>()[i]);
      }
    }
  });
  out += ']';
}

std::optional<int64_t> read_int(std::string_view token) { return read_whole<int64_t>(token); }
std::optional<float> read_float(std::string_view token) { return read_real<float>(token); }

bool looks_float(std::string_view token) {
  return token.find_first_of(".en") != std::string_view::npos || token.starts_with("0x");
}

std::optional<Tensor> read_elements(DType dtype, const Shape& shape,
                                    const std::vector<std::string_view>& tokens) {
  if (elements_of(shape) != static_cast<int64_t>(tokens.size())) return std::nullopt;
  Tensor tensor = Tensor::allocate(dtype, shape);
  bool good = false;
  dispatch(dtype, [&](auto tag) { good = read_into(tensor.mutable_data<decltype(tag)>(), tokens); });
  dispatch_narrow(dtype, [&](auto tag) { good = read_narrow(tensor.mutable_data<decltype(tag)>(), tokens); });
  return good ? std::optional(std::move(tensor)) : std::nullopt;
}

}  // namespace narrow::ir::text
