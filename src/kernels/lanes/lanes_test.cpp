#include "kernels/lanes/lanes.h"

#include <gtest/gtest.h>

#include <bit>

#include "kernels/lanes/test_support.h"

namespace narrow::kernels {
namespace {

std::vector<uint8_t> every_16_bit_pattern() {
  std::vector<uint8_t> bytes(2 * 65536);
  for (int i = 0; i < 65536; ++i) {
    const auto bits = static_cast<uint16_t>(i);
    std::memcpy(bytes.data() + 2 * i, &bits, 2);
  }
  return bytes;
}

TEST(Lanes, LoadsEveryEncodingAsTheScalarDefinition) {
  const std::vector<uint8_t> patterns = every_16_bit_pattern();
  for (const Isa isa : isas_here())
    for (const Format& format : all_formats()) {
      if (format.type == DType::f32) continue;
      const int64_t n = static_cast<int64_t>(patterns.size()) / bytes_of(format.type);
      std::vector<float> got(static_cast<size_t>(n));
      load_run(format, patterns.data(), 0, n, got.data(), isa);
      for (int64_t i = 0; i < n; ++i) {
        const float want = load_real(format, patterns.data(), i);
        if (std::isnan(want))  // hardware quiets signalling NaN; the rest of the payload is equal
          ASSERT_TRUE(std::isnan(got[static_cast<size_t>(i)]))
              << to_string(isa) << ' ' << to_string(format.type) << ' ' << i;
        else
          ASSERT_EQ(std::bit_cast<uint32_t>(want), std::bit_cast<uint32_t>(got[static_cast<size_t>(i)]))
              << to_string(isa) << ' ' << to_string(format.type) << ' ' << i;
      }
    }
}

std::vector<float> awkward_floats() {
  std::vector<float> x = {0.0F,     -0.0F,    INFINITY, -INFINITY, NAN,      1e-45F, -1e-45F, 65504.0F,
                          65519.9F, 65520.0F, 3.4e38F,  5.9e-8F,   2.98e-8F, 1e10F,  -1e10F};
  Random random(7);
  for (int i = 0; i < 4000; ++i) x.push_back(std::bit_cast<float>(static_cast<uint32_t>(random.next())));
  for (int i = 0; i < 4001; ++i)
    x.push_back(static_cast<float>(i - 2000) * 0.0231F * 0.5F);  // ties of the u8 grid
  return x;
}

TEST(Lanes, StoresAsTheScalarDefinition) {
  const std::vector<float> x = awkward_floats();
  for (const Isa isa : isas_here())
    for (const Format& format : all_formats())
      for (const int64_t n :
           {int64_t{0}, int64_t{1}, int64_t{7}, int64_t{17}, static_cast<int64_t>(x.size())}) {
        Stored want(format, n), got(format, n);
        for (int64_t i = 0; i < n; ++i) store_real(format, want.data(), i, x[static_cast<size_t>(i)]);
        store_run(format, x.data(), got.data(), 0, n, isa);
        for (int64_t i = 0; i < n; ++i)
          if (!is_int8(format.type) && std::isnan(x[static_cast<size_t>(i)]))
            ASSERT_TRUE(std::isnan(got.real(i)));
          else
            ASSERT_EQ(0, std::memcmp(want.bytes.data() + i * bytes_of(format.type),
                                     got.bytes.data() + i * bytes_of(format.type),
                                     static_cast<size_t>(bytes_of(format.type))))
                << to_string(isa) << ' ' << to_string(format.type) << " of " << x[static_cast<size_t>(i)];
      }
}

}  // namespace
}  // namespace narrow::kernels
