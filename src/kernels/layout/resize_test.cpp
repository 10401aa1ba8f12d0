#include "kernels/layout/resize.h"

#include <gtest/gtest.h>

#include "base/aligned.h"
#include "kernels/lanes/test_support.h"

namespace narrow::kernels {
namespace {

Stored run(const ResizeSpec& spec, const Stored& x, Isa isa, int threads) {
  ThreadPool pool(threads);
  AlignedBuffer scratch(resize_scratch_bytes(spec));
  Stored y(x.format, spec.n * spec.oh * spec.ow * spec.c);
  resize(spec, x.data(), y.data(), scratch.data(), isa, pool);
  return y;
}

ResizeSpec make_spec(int64_t h, int64_t w, int64_t oh, int64_t ow, int64_t c) {
  ResizeSpec s;
  s.n = 2, s.h = h, s.w = w, s.c = c, s.oh = oh, s.ow = ow;
  s.scale_h = static_cast<float>(oh) / static_cast<float>(h),
  s.scale_w = static_cast<float>(ow) / static_cast<float>(w);
  return s;
}

TEST(Resize, EqualsTheReferenceInEveryMode) {
  Random random(71);
  for (const Format& format : all_formats())
    for (ResizeSpec spec : {make_spec(5, 7, 10, 14, 3), make_spec(9, 8, 4, 3, 33), make_spec(1, 1, 6, 1, 16),
                            make_spec(6, 6, 1, 13, 1)})
      for (const ResizeMode mode : {ResizeMode::nearest, ResizeMode::linear})
        for (int coordinates = 0; coordinates < 4; ++coordinates)
          for (int nearest = 0; nearest < 4; ++nearest) {
            spec.type = format.type, spec.mode = mode;
            spec.coordinates = static_cast<ResizeCoordinates>(coordinates);
            spec.nearest = static_cast<ResizeNearest>(nearest);
            const Stored x =
                random_stored({format.type, {1, 0}}, spec.n * spec.h * spec.w * spec.c, random, -200, 300);
            Stored want(x.format, spec.n * spec.oh * spec.ow * spec.c);
            resize_reference(spec, x.data(), want.data());
            for (const Isa isa : isas_here())
              for (const int threads : {1, 3})
                ASSERT_EQ(want.bytes, run(spec, x, isa, threads).bytes)
                    << to_string(isa) << ' ' << to_string(format.type);
          }
}

std::vector<float> resized_row(ResizeSpec spec, const std::vector<float>& x, float scale) {
  spec.w = static_cast<int64_t>(x.size()), spec.scale_w = scale;
  Stored in({DType::f32, {}}, spec.w);
  std::memcpy(in.data(), x.data(), in.bytes.size());
  const Stored y = run(spec, in, usable_isa(), 1);
  std::vector<float> values;
  for (int64_t i = 0; i < spec.ow; ++i) values.push_back(y.real(i));
  return values;
}

/// Rows of the examples in ONNX's Resize page (resize_upsample_scales_linear, ..._align_corners, downsample
/// nearest).
TEST(Resize, OnnxExamples) {
  ResizeSpec spec;
  spec.mode = ResizeMode::linear;
  spec.ow = 4;
  EXPECT_EQ(resized_row(spec, {1, 2}, 2), (std::vector<float>{1, 1.25F, 1.75F, 2}));
  spec.coordinates = ResizeCoordinates::align_corners;
  const std::vector<float> aligned = resized_row(spec, {1, 2}, 2);
  for (size_t i = 0; i < 4; ++i) EXPECT_NEAR(aligned[i], 1 + static_cast<float>(i) / 3, 2e-7F);
  spec.coordinates = ResizeCoordinates::half_pixel;
  spec.mode = ResizeMode::nearest;
  spec.ow = 2;
  EXPECT_EQ(resized_row(spec, {1, 2, 3, 4}, 0.6F), (std::vector<float>{1, 3}));
}

}  // namespace
}  // namespace narrow::kernels
