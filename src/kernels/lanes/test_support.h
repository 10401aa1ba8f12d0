// What the tests of all families share: random values as stored elements, and the ISAs to hold against each
// other.
#pragma once

#include <cstring>
#include <vector>

#include "base/cpu.h"
#include "base/random.h"
#include "kernels/lanes/element.h"

namespace narrow::kernels {

inline std::vector<Isa> isas_here() {
  std::vector<Isa> isas;
  for (const Isa isa : {Isa::plain, Isa::avx2, Isa::avx512, Isa::avx512_vnni, Isa::avx512_bf16, Isa::amx})
    if (runs_here(isa)) isas.push_back(isa);
  return isas;
}

/// Elements of one format; the vector's memory is exactly as long as the elements, so that a sanitizer sees
/// any step beyond.
struct Stored {
  Format format;
  std::vector<uint8_t> bytes;

  Stored(Format f, int64_t count) : format(f), bytes(static_cast<size_t>(count * bytes_of(f.type))) {}
  const void* data() const { return bytes.data(); }
  void* data() { return bytes.data(); }
  int64_t count() const { return static_cast<int64_t>(bytes.size()) / bytes_of(format.type); }
  float real(int64_t i) const { return load_real(format, bytes.data(), i); }
};

/// Uniform in [low, high] (integers: stored after rounding, so saturated ones occur).
inline Stored random_stored(Format format, int64_t count, Random& random, double low = -3, double high = 3) {
  Stored s(format, count);
  for (int64_t i = 0; i < count; ++i)
    store_real(format, s.data(), i, static_cast<float>(random.uniform(low, high)));
  return s;
}

/// One format of each type, with awkward quantizations.
inline std::vector<Format> all_formats() {
  return {{DType::f32, {}},
          {DType::bf16, {}},
          {DType::f16, {}},
          {DType::u8, {0.0231F, 119}},
          {DType::s8, {0.0193F, -7}}};
}

/// Half a unit in the last place of the format at magnitude x: what one rounding to it costs.
inline float rounding_error(const Format& format, float x) {
  const float m = std::fabs(x);
  switch (format.type) {
    case DType::f32:
      return m * 0x1p-24F;
    case DType::bf16:
      return m * 0x1p-8F;
    case DType::f16:
      return m * 0x1p-11F + 0x1p-25F;
    default:
      return format.quant.scale * 0.5F;
  }
}

}  // namespace narrow::kernels
