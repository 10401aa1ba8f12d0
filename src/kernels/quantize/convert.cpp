#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

#include "kernels/lanes/lanes.h"
#include "kernels/quantize/quantize.h"
#include "numerics/rounding.h"

namespace narrow::kernels {
namespace {

template <class T>
constexpr bool kIsFloat = std::is_same_v<T, float> || std::is_same_v<T, double> || std::is_same_v<T, f16> ||
                          std::is_same_v<T, bf16>;

/// The value in the widest type of its kind: double or int64 (u64 keeps its bits).
template <class T>
auto widest(T x) {
  if constexpr (std::is_same_v<T, double>)
    return x;
  else if constexpr (kIsFloat<T>)
    return static_cast<double>(static_cast<float>(x));
  else
    return static_cast<int64_t>(x);
}

/// Truncates towards zero; beyond the range the nearest end; NaN gives 0.
template <class To>
To saturate(double x) {
  if (std::isnan(x)) return 0;
  const double whole = std::trunc(x), beyond = std::ldexp(1.0, std::numeric_limits<To>::digits);
  if (whole >= beyond) return std::numeric_limits<To>::max();
  if (whole <= static_cast<double>(std::numeric_limits<To>::min())) return std::numeric_limits<To>::min();
  return static_cast<To>(whole);
}

template <class From, class To>
To convert_one(From x) {
  const auto wide = widest(x);
  if constexpr (std::is_same_v<To, bool>) {
    return wide != 0;
  } else if constexpr (std::is_same_v<To, double>) {
    if constexpr (std::is_same_v<From, uint64_t>)
      return static_cast<double>(x);
    else
      return static_cast<double>(wide);
  } else if constexpr (std::is_same_v<To, float>) {
    if constexpr (std::is_same_v<From, uint64_t>)
      return static_cast<float>(x);
    else
      return static_cast<float>(wide);
  } else if constexpr (kIsFloat<To>) {
    if constexpr (std::is_same_v<From, uint64_t>)
      return To(round_to_odd(static_cast<double>(x)));
    else
      return To(round_to_odd(static_cast<double>(wide)));
  } else if constexpr (kIsFloat<From>) {
    return saturate<To>(wide);
  } else {
    return static_cast<To>(wide);
  }
}

template <class From, class To>
void convert_all(const void* src, void* dst, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    const uint8_t* from = static_cast<const uint8_t*>(src) + i * static_cast<int64_t>(sizeof(From));
    From x;
    if constexpr (std::is_same_v<From, bool>)
      x = *from != 0;  // a byte of a boolean tensor may hold anything
    else
      std::memcpy(&x, from, sizeof(From));
    const To y = convert_one<From, To>(x);
    std::memcpy(static_cast<uint8_t*>(dst) + i * static_cast<int64_t>(sizeof(To)), &y, sizeof(To));
  }
}

bool has_lanes(DType t) { return t == DType::f32 || t == DType::bf16 || t == DType::f16; }

void convert_floats(DType src_type, DType dst_type, const void* src, void* dst, int64_t begin, int64_t end,
                    Isa isa) {
  alignas(64) float buffer[kRun];
  for (int64_t i = begin; i < end; i += kRun) {
    const int64_t n = std::min(kRun, end - i);
    if (dst_type == DType::f32) {
      load_run({src_type, {}}, src, i, n, static_cast<float*>(dst) + i, isa);
    } else {
      const float* x = run_as_f32({src_type, {}}, src, i, n, buffer, isa);
      store_run({dst_type, {}}, x, dst, i, n, isa);
    }
  }
}

}  // namespace

void convert_reference(DType src_type, DType dst_type, const void* src, void* dst, int64_t count) {
  dispatch(src_type, [&](auto from) {
    dispatch(dst_type, [&](auto to) { convert_all<decltype(from), decltype(to)>(src, dst, count); });
  });
}

void convert(DType src_type, DType dst_type, const void* src, void* dst, int64_t count, Isa isa,
             ThreadPool& pool) {
  const auto* in = static_cast<const uint8_t*>(src);
  auto* out = static_cast<uint8_t*>(dst);
  const int64_t src_bytes = bytes_of(src_type), dst_bytes = bytes_of(dst_type);
  parallel_for(pool, count, 32 * kRun, [&](int64_t begin, int64_t end) {
    if (src_type == dst_type) {
      if (src != dst)
        std::memcpy(out + begin * dst_bytes, in + begin * src_bytes,
                    static_cast<size_t>((end - begin) * dst_bytes));
    } else if (has_lanes(src_type) && has_lanes(dst_type)) {
      convert_floats(src_type, dst_type, src, dst, begin, end, isa);
    } else {
      convert_reference(src_type, dst_type, in + begin * src_bytes, out + begin * dst_bytes, end - begin);
    }
  });
}

}  // namespace narrow::kernels
