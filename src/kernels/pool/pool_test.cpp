#include "kernels/pool/pool.h"

#include <gtest/gtest.h>

#include "kernels/lanes/test_support.h"

namespace narrow::kernels {
namespace {

PoolShape shape_of(int64_t n, int64_t h, int64_t w, int64_t c, int64_t k, int64_t stride, int64_t pad,
                   int64_t dilation, bool ceil) {
  PoolShape s;
  s.n = n, s.h = h, s.w = w, s.c = c, s.kh = k, s.kw = k + 1;
  s.stride_h = stride, s.stride_w = stride, s.dilation_h = s.dilation_w = dilation;
  s.pad_top = s.pad_left = s.pad_right = pad, s.pad_bottom = pad / 2;
  const auto out = [&](int64_t extent, int64_t kernel, int64_t pads) {
    const int64_t room = extent + pads - dilation * (kernel - 1) - 1;
    return (ceil ? room + stride - 1 : room) / stride + 1;
  };
  s.oh = out(h, s.kh, s.pad_top + s.pad_bottom), s.ow = out(w, s.kw, 2 * pad);
  return s;
}

std::vector<PoolShape> shapes() {
  return {shape_of(2, 9, 11, 64, 3, 2, 1, 1, false),
          shape_of(1, 8, 8, 3, 2, 2, 0, 1, false),
          shape_of(1, 7, 10, 65, 3, 2, 1, 1, true),
          shape_of(1, 12, 12, 17, 3, 1, 2, 2, false),
          shape_of(1, 5, 5, 1100, 2, 1, 1, 1, true),
          shape_of(1, 4, 4, 1, 2, 3, 1, 1, true),
          PoolShape::global(2, 7, 7, 200),
          PoolShape::global(1, 1, 1, 5),
          PoolShape::global(1, 30, 31, 2)};
}

TEST(Pool, EqualsTheReferenceForEveryFormatPairIsaAndThreadCount) {
  Random random(31);
  for (const PoolShape& shape : shapes())
    for (const PoolKind kind : {PoolKind::max, PoolKind::average})
      for (const bool include_pad : {false, true})
        for (const Format& src : all_formats())
          for (const Format& dst : all_formats()) {
            const PoolSpec spec{kind, shape, src, dst, include_pad};
            const Stored x = random_stored(src, shape.n * shape.h * shape.w * shape.c, random);
            Stored want(dst, shape.n * shape.oh * shape.ow * shape.c);
            pool_reference(spec, x.data(), want.data());
            for (const Isa isa : isas_here()) {
              ThreadPool threads(static_cast<int>(random.integer(1, 3)));
              Stored got(dst, want.count());
              pool(spec, x.data(), got.data(), isa, threads);
              ASSERT_EQ(want.bytes, got.bytes)
                  << to_string(isa) << ' ' << to_string(src.type) << " to " << to_string(dst.type)
                  << (kind == PoolKind::max ? " max" : " average") << " c=" << shape.c;
            }
          }
}

TEST(Pool, KnownValues) {
  PoolSpec spec;
  spec.shape = shape_of(1, 3, 3, 1, 2, 1, 0, 1, false);
  spec.shape.kw = 2, spec.shape.ow = 2, spec.shape.oh = 2;
  const std::vector<float> x = {1, 2, 3, 4, 5, 6, 7, 8, 9};
  std::vector<float> y(4);
  ThreadPool threads(1);
  pool(spec, x.data(), y.data(), usable_isa(), threads);
  EXPECT_EQ(y, (std::vector<float>{5, 6, 8, 9}));
  spec.kind = PoolKind::average;
  pool(spec, x.data(), y.data(), usable_isa(), threads);
  EXPECT_EQ(y, (std::vector<float>{3, 4, 6, 7}));
}

TEST(Pool, PaddingCountsOnlyWhenAsked) {
  PoolSpec spec{PoolKind::average, {}, {}, {}, false};
  PoolShape& s = spec.shape;
  s.h = s.w = 2, s.kh = s.kw = 2, s.pad_top = s.pad_left = 1, s.oh = s.ow = 1;
  const std::vector<float> x = {8, 1, 1, 1};
  float y = 0;
  ThreadPool threads(1);
  pool(spec, x.data(), &y, usable_isa(), threads);
  EXPECT_EQ(y, 8.0F);
  spec.count_include_pad = true;
  pool(spec, x.data(), &y, usable_isa(), threads);
  EXPECT_EQ(y, 2.0F);
}

}  // namespace
}  // namespace narrow::kernels
