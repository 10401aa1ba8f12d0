// Inputs and outputs whose pixels are apart: the numbers of dense ones, and not a byte between them.
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

/// dst as [pixels][pitch] with 0x5a between the pixels.
Bytes run_apart(const ConvCandidate& candidate, Case c, int64_t pitch, int threads) {
  c.spec.shape.dst_pitch = pitch;
  const auto kernel =
      candidate.create(c.spec, candidate.pack(c.spec, {c.weights.data(), c.bias.data()}), threads);
  const int64_t pixels = c.outputs() / c.spec.shape.oc;
  Bytes dst(static_cast<size_t>(pixels * pitch * bytes_of(c.spec.dst)), 0x5a);
  AlignedBuffer scratch(kernel->scratch_bytes());
  ThreadPool pool(threads);
  kernel->run({c.src.data(), nullptr, dst.data(), scratch.data()}, pool);
  return dst;
}

TEST(ConvPitch, LeavesWhatIsBetweenPixelsAlone) {
  int checked = 0;
  for (const ConvCandidate& candidate : conv_candidates()) {
    if (!candidate.pitched || !runs_here(candidate.isa)) continue;
    for (const auto& [src, weights] : {std::pair{DType::u8, DType::s8}, std::pair{DType::bf16, DType::bf16},
                                       std::pair{DType::f16, DType::f16}})
      for (const ConvShape& s : {shape(1, 7, 9, 20, 16, 1, 1, 1, 0), shape(2, 6, 5, 33, 70, 3, 3, 1, 1),
                                 shape(1, 9, 9, 8, 32, 3, 3, 2, 1)}) {
        const ConvSpec spec = spec_for(src, weights, s);
        if (!candidate.unsupported(spec).empty()) continue;
        ++checked;
        const Case c = make_case(spec, 21);
        const Bytes dense = run(candidate, c, 2);
        for (const int64_t more : {1, 48}) {
          const int64_t pitch = s.oc + more, size = bytes_of(spec.dst);
          const Bytes apart = run_apart(candidate, c, pitch, 2);
          for (int64_t i = 0; i < static_cast<int64_t>(apart.size()); ++i) {
            const int64_t pixel = i / (pitch * size), at = i % (pitch * size);
            ASSERT_EQ(apart[static_cast<size_t>(i)],
                      at < s.oc * size ? dense[static_cast<size_t>(pixel * s.oc * size + at)] : 0x5a)
                << candidate.name << " " << text(spec) << " byte " << i;
          }
        }
      }
  }
  EXPECT_GT(checked, 0);
}

TEST(ConvPitch, ReadsPixelsThatAreApart) {
  int checked = 0;
  for (const ConvCandidate& candidate : conv_candidates()) {
    if (!candidate.reads_pitched || !runs_here(candidate.isa)) continue;
    for (const auto& [src, weights] : {std::pair{DType::u8, DType::s8}, std::pair{DType::s8, DType::s8}})
      for (ConvShape s : {shape(1, 7, 9, 20, 20, 1, 1, 1, 0), shape(2, 6, 5, 133, 133, 1, 1, 1, 0),
                          shape(1, 40, 50, 64, 64, 1, 1, 1, 0)}) {
        s.groups = s.c;
        const ConvSpec spec = spec_for(src, weights, s);
        if (!candidate.unsupported(spec).empty()) continue;
        ++checked;
        Case c = make_case(spec, 23);
        const Bytes dense = run(candidate, c, 2);
        for (const int64_t more : {1, 48}) {
          const int64_t pitch = s.c + more, pixels = s.n * s.h * s.w;
          AlignedBuffer apart(pixels * pitch);
          std::memset(apart.data(), 0x7f, static_cast<size_t>(apart.bytes()));
          for (int64_t p = 0; p < pixels; ++p)
            std::memcpy(apart.data() + p * pitch, c.src.data() + p * s.c, static_cast<size_t>(s.c));
          ConvSpec wide = spec;
          wide.shape.src_pitch = pitch;
          const auto kernel =
              candidate.create(wide, candidate.pack(wide, {c.weights.data(), c.bias.data()}), 2);
          Bytes dst(dense.size());
          AlignedBuffer scratch(kernel->scratch_bytes());
          ThreadPool pool(2);
          kernel->run({apart.data(), nullptr, dst.data(), scratch.data()}, pool);
          EXPECT_EQ(dst, dense) << candidate.name << " " << text(spec) << " + " << more;
        }
      }
  }
  EXPECT_TRUE(checked > 0 || !runs_here(Isa::avx512_vnni));
}

}  // namespace
}  // namespace narrow::kernels
