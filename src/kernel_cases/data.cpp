#include "kernel_cases/data.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

#include "kernels/lanes/element.h"

namespace narrow::kernel_cases {
namespace {

template <class T>
T integer_value(Random& random, Values values, int64_t i, bool flip) {
  constexpr int64_t kLow = std::numeric_limits<T>::min(), kHigh = std::numeric_limits<T>::max();
  if (values == Values::relu && sizeof(T) == 1)
    return static_cast<T>(std::clamp<double>(64 * random.normal(), kLow, kHigh));
  if (values == Values::uniform || values == Values::relu) return static_cast<T>(random.integer(kLow, kHigh));
  if (values == Values::extreme) {
    const int64_t list[] = {kLow, kLow + 1, kHigh - 1, kHigh, 0, kLow, kHigh, random.integer(kLow, kHigh)};
    return static_cast<T>(list[random.next() % 8]);
  }
  // Equal neighbours for 8 elements, then perhaps the other end.
  const bool high = flip != (i / 8 % 3 == 2);
  return static_cast<T>(high ? kHigh : kLow);
}

float float_value(Random& random, Values values, int64_t i, bool flip) {
  if (values == Values::uniform || values == Values::relu) return static_cast<float>(random.uniform(-1, 1));
  if (values == Values::saturating) return flip != (i / 8 % 3 == 2) ? 1.0F : -1.0F;
  if (random.next() % 8 == 0) return random.next() % 2 == 0 ? 0.0F : -0.0F;
  return static_cast<float>(std::ldexp(random.uniform(-1, 1), static_cast<int>(random.integer(-10, 10))));
}

}  // namespace

Bytes make_values(Random& random, DType type, int64_t count, Values values, float range) {
  Bytes bytes(static_cast<size_t>(count * bytes_of(type)));
  const bool flip = random.next() % 2 == 0;
  dispatch(type, [&](auto zero) {
    using T = decltype(zero);
    auto* to = reinterpret_cast<T*>(bytes.data());
    for (int64_t i = 0; i < count; ++i) {
      if constexpr (std::is_integral_v<T> && sizeof(T) <= 4)
        to[i] = integer_value<T>(random, values, i, flip);
      else
        to[i] = static_cast<T>(range * float_value(random, values, i, flip));
    }
  });
  return bytes;
}

std::vector<float> reals(const kernels::Format& format, const void* data, int64_t count) {
  std::vector<float> list(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) list[static_cast<size_t>(i)] = kernels::load_real(format, data, i);
  return list;
}

Bytes absolute(DType type, const Bytes& bytes) {
  Bytes result(bytes.size());
  for (int64_t i = 0; i < static_cast<int64_t>(bytes.size()) / bytes_of(type); ++i)
    kernels::store_real({type, {}}, result.data(), i,
                        std::fabs(kernels::load_real({type, {}}, bytes.data(), i)));
  return result;
}

std::string element_text(DType type, const void* data, int64_t i) {
  std::string said = "?";
  dispatch(type, [&](auto zero) {
    using T = decltype(zero);
    const T x = static_cast<const T*>(data)[i];
    if constexpr (std::is_integral_v<T>)
      said = fmt::format("{}", static_cast<std::conditional_t<std::is_same_v<T, bool>, int, T>>(x));
    else
      said = fmt::format("{}", static_cast<std::conditional_t<std::is_same_v<T, double>, double, float>>(x));
  });
  return said;
}

int32_t lowest(DType type) { return kernels::low_of(type); }
int32_t highest(DType type) { return kernels::high_of(type); }

}  // namespace narrow::kernel_cases
