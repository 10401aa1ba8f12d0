// Inputs and outputs whose pixels are apart: the numbers of dense ones, and not a byte between them.
#include <set>

#include "kernels/conv/narrow_case.h"

namespace narrow::kernels {
namespace {
using namespace testing_conv;

ConvSpec spec_for(DType src, DType weights, const ConvShape& s) {
  ConvSpec spec;
  spec.shape = s;
  spec.src = spec.dst = src;
  spec.weights = weights;
  spec.bias = true;
  spec.activation = {Act::relu};
  spec.src_quant = {0.02F, 3};
  spec.dst_quant = {0.4F, 0};
  if (is_int8(src)) spec.weight_scale.assign(static_cast<size_t>(s.oc), 0.01F);
  return spec;
}

/// Elements from pixel to pixel, more than their channels.
struct Apart {
  int64_t src, dst;
};

/// The case with pixels apart, 0xff (of floats a NaN) between them, in memory that ends with the last pixel.
/// Expects 0xff there still and returns what lies in dst's pixels.
Bytes run_apart(const ConvCandidate& candidate, Case c, const Apart& apart) {
  ConvShape& s = c.spec.shape;
  s.src_pitch = s.c + apart.src, s.dst_pitch = s.oc + apart.dst;
  EXPECT_EQ(candidate.unsupported(c.spec), "");
  const auto kernel = candidate.create(c.spec, candidate.pack(c.spec, {c.weights.data(), c.bias.data()}), 2);
  const int64_t in = s.c * bytes_of(c.spec.src), in_pitch = s.src_pitch * bytes_of(c.spec.src);
  const int64_t out = s.oc * bytes_of(c.spec.dst), out_pitch = s.dst_pitch * bytes_of(c.spec.dst);
  const auto extent = [](int64_t pixels, int64_t pitch, int64_t size) {
    return static_cast<size_t>((pixels - 1) * pitch + size);
  };
  const int64_t pixels = s.n * s.h * s.w, outputs = s.n * s.oh * s.ow;
  Guarded src(extent(pixels, in_pitch, in)), dst(extent(outputs, out_pitch, out));
  std::memset(src.data(), 0xff, extent(pixels, in_pitch, in));
  std::memset(dst.data(), 0xff, extent(outputs, out_pitch, out));
  for (int64_t p = 0; p < pixels; ++p) std::copy_n(c.src.data() + p * in, in, src.data() + p * in_pitch);
  AlignedBuffer scratch(kernel->scratch_bytes());
  std::memset(scratch.data(), 0xff, static_cast<size_t>(scratch.bytes()));
  ThreadPool pool(2);
  kernel->run({src.data(), nullptr, dst.data(), scratch.data()}, pool);
  Bytes dense;
  for (int64_t p = 0; p < outputs; ++p) {
    const uint8_t* at = dst.data() + p * out_pitch;
    dense.insert(dense.end(), at, at + out);
    const uint8_t* next = p + 1 < outputs ? at + out_pitch : at + out;
    EXPECT_TRUE(std::all_of(at + out, next, [](uint8_t b) { return b == 0xff; }))
        << candidate.name << " " << text(c.spec) << " after pixel " << p;
  }
  return dense;
}

/// Windows, strides, groups; channels of whole vectors and not; a first layer's.
std::vector<ConvShape> shapes() {
  std::vector<ConvShape> list = {shape(1, 7, 9, 20, 16, 1, 1, 1, 0),   shape(2, 6, 5, 33, 70, 3, 3, 1, 1),
                                 shape(1, 9, 9, 8, 32, 3, 3, 2, 1),    shape(1, 5, 3, 64, 40, 1, 1, 1, 0),
                                 shape(2, 7, 7, 96, 64, 1, 1, 1, 0),   shape(1, 6, 7, 128, 33, 1, 1, 2, 0),
                                 shape(1, 11, 9, 3, 24, 3, 3, 2, 1),   shape(1, 9, 8, 4, 20, 5, 5, 1, 2),
                                 shape(1, 1, 50, 256, 20, 1, 1, 1, 0), shape(1, 12, 14, 32, 36, 3, 3, 1, 1),
                                 shape(1, 23, 22, 80, 36, 3, 3, 1, 1)};
  for (ConvShape s : {shape(1, 7, 9, 20, 20, 1, 1, 1, 0), shape(2, 6, 5, 133, 133, 1, 1, 1, 0),
                      shape(1, 9, 11, 24, 24, 3, 3, 1, 1), shape(1, 12, 9, 96, 96, 5, 5, 2, 2)}) {
    s.groups = s.c;
    list.push_back(s);
  }
  list.push_back(shape(1, 8, 7, 24, 36, 3, 3, 1, 1));
  list.back().groups = 3;
  return list;
}

TEST(ConvPitch, ChangesNoBitAndTouchesNothingBetweenPixels) {
  std::set<std::string> refused, ran;
  for (const ConvCandidate& candidate : conv_candidates())
    for (const auto& [src, weights] : {std::pair{DType::u8, DType::s8}, std::pair{DType::s8, DType::s8},
                                       std::pair{DType::bf16, DType::bf16}, std::pair{DType::f16, DType::f16},
                                       std::pair{DType::f32, DType::f32}})
      for (const ConvShape& s : shapes()) {
        ConvSpec spec = spec_for(src, weights, s);
        if (!runs_here(candidate.isa) || !candidate.unsupported(spec).empty()) continue;
        const Case c = make_case(spec, 21);
        const Bytes dense = run(candidate, c, 2);
        spec.shape.src_pitch = s.c + 1;
        if (!candidate.unsupported(spec).empty()) {
          refused.insert(candidate.name);
          continue;
        }
        for (const Apart& apart : {Apart{1, 1}, Apart{0, 48}, Apart{48, 0}, Apart{112, 37}})
          EXPECT_EQ(run_apart(candidate, c, apart), dense)
              << candidate.name << " " << text(spec) << " + " << apart.src << ", " << apart.dst;
        ran.insert(candidate.name);
      }
  refused.erase("dwconv_int8_flat_avx512vnni");  // rows are lines of bytes there
  EXPECT_EQ(refused, std::set<std::string>());
  for (const ConvCandidate& candidate : conv_candidates())
    EXPECT_TRUE(!runs_here(candidate.isa) || ran.contains(candidate.name) ||
                candidate.name == std::string("dwconv_int8_flat_avx512vnni"))
        << candidate.name;
}

}  // namespace
}  // namespace narrow::kernels
