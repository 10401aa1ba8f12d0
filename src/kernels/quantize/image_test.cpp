#include "kernels/quantize/image.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "base/random.h"
#include "kernels/test_isas.h"
#include "numerics/quantization.h"

namespace narrow::kernels {
namespace {

/// Element by element, where quantize() of numerics/quantization.h puts it.
void check(const QuantizeImageSpec& spec, const std::vector<float>& x) {
  const IntegerRange range = spec.dst == DType::u8 ? kRangeU8 : kRangeS8;
  for (const Isa isa : usable_isas())
    for (const int threads : {1, 2, 3}) {
      ThreadPool pool(threads);
      std::vector<uint8_t> got(x.size() + 1, 0xaa);
      quantize_image(spec, x.data(), got.data(), isa, pool);
      ASSERT_EQ(got.back(), 0xaa);
      for (int64_t n = 0; n < spec.images; ++n)
        for (int64_t c = 0; c < spec.channels; ++c)
          for (int64_t p = 0; p < spec.pixels; ++p) {
            const float v = x[static_cast<size_t>((n * spec.channels + c) * spec.pixels + p)];
            const uint8_t code = got[static_cast<size_t>((n * spec.pixels + p) * spec.channels + c)];
            ASSERT_EQ(code, static_cast<uint8_t>(quantize(v, spec.scale, spec.zero_point, range)))
                << to_string(isa) << ' ' << threads << " threads: " << n << ' ' << c << ' ' << p;
          }
    }
}

TEST(QuantizeImage, EveryCodeWhereItBelongs) {
  Random random(5);
  for (const int64_t images : {0, 1, 3})
    for (const int64_t channels : {0, 1, 2, 3, 4, 5, 16, 17, 40})
      for (const int64_t pixels : {0, 1, 15, 64, 500, 2999})
        for (const DType dst : {DType::u8, DType::s8}) {
          std::vector<float> x(static_cast<size_t>(images * channels * pixels));
          for (float& v : x) v = static_cast<float>(random.normal() * 3);
          check({.dst = dst,
                 .images = images,
                 .channels = channels,
                 .pixels = pixels,
                 .scale = 0.03F,
                 .zero_point = dst == DType::u8 ? 117 : -3},
                x);
        }
}

/// Where a product with 1 / scale may round to another integer than the quotient.
TEST(QuantizeImage, NearTheMiddleOfTwoCodes) {
  for (const float scale : {0.03F, 0.0187F, 1.0F / 3, 7.7F, 1e-20F, 3e25F, 1e-39F, 2e31F})
    for (const DType dst : {DType::u8, DType::s8}) {
      std::vector<float> x;
      for (int k = -400; k <= 400; ++k) {
        float v = (static_cast<float>(k) + 0.5F) * scale;
        for (int i = 0; i < 4; ++i) v = std::nextafter(v, -std::numeric_limits<float>::infinity());
        for (int i = 0; i < 9; ++i, v = std::nextafter(v, std::numeric_limits<float>::infinity()))
          x.push_back(v);
      }
      check({.dst = dst, .pixels = static_cast<int64_t>(x.size()), .scale = scale, .zero_point = 5}, x);
    }
}

TEST(QuantizeImage, WhatIsNotFinite) {
  const float inf = std::numeric_limits<float>::infinity(), nan = std::nanf("");
  check({.channels = 3, .pixels = 2, .scale = 0.5F}, {inf, -inf, nan, 1e30F, -0.25F, 0.75F});
}

}  // namespace
}  // namespace narrow::kernels
