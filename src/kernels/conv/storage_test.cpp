// Packed weights kept in a file: they unpack to the weights bit for bit, and a kernel made from them computes
// the same.
#include <gtest/gtest.h>

#include <cstring>

#include "base/random.h"
#include "kernels/conv/conv.h"

namespace narrow::kernels {
namespace {

ConvShape shape(int64_t c, int64_t oc, int64_t kernel, int64_t groups = 1, int64_t dilation = 1) {
  ConvShape s{.n = 1, .h = 5, .w = 6, .c = c, .oh = 5, .ow = 6, .oc = oc, .kh = kernel, .kw = kernel};
  s.groups = groups;
  s.dilation_h = s.dilation_w = dilation;
  s.pad_top = s.pad_left = dilation * (kernel - 1) / 2;
  return s;
}

ConvSpec spec_for(const ConvShape& s, DType weights) {
  ConvSpec spec;
  spec.shape = s;
  spec.weights = weights;
  spec.bias = true;
  if (weights == DType::s8) {
    spec.src = spec.dst = DType::u8;
    spec.src_quant = {0.02F, 3}, spec.dst_quant = {0.5F, 128};
    spec.weight_scale.assign(static_cast<size_t>(s.oc), 0.01F);
  } else {
    spec.src = spec.dst = weights;
  }
  return spec;
}

/// Finite numbers of any sign as bits of the type.
void fill(DType type, AlignedBuffer& buffer, Random& random) {
  for (int64_t i = 0; i < buffer.bytes(); ++i) buffer.as<uint8_t>()[i] = static_cast<uint8_t>(random.next());
  for (int64_t i = 0; i < buffer.bytes() / 4 && type == DType::f32; ++i)
    buffer.as<float>()[i] = static_cast<float>(random.normal());
  for (int64_t i = 0; i < buffer.bytes() / 2 && type == DType::bf16; ++i)
    buffer.as<bf16>()[i] = bf16(static_cast<float>(random.normal()));
}

std::vector<std::byte> answer(const ConvCandidate& candidate, const ConvSpec& spec,
                              std::shared_ptr<const PackedWeights> packed, const AlignedBuffer& src) {
  ThreadPool pool(1);
  const auto kernel = candidate.create(spec, std::move(packed), 1);
  AlignedBuffer scratch(kernel->scratch_bytes()),
      dst = AlignedBuffer::zeroed(spec.shape.oh * spec.shape.ow * spec.shape.oc * bytes_of(spec.dst));
  kernel->run({.src = src.data(), .dst = dst.data(), .scratch = scratch.data()}, pool);
  return {dst.data(), dst.data() + dst.bytes()};
}

void check(const ConvCandidate& candidate, const ConvSpec& spec) {
  SCOPED_TRACE(std::string(candidate.name) + " " + std::to_string(spec.shape.c) + " -> " +
               std::to_string(spec.shape.oc));
  Random random(7);
  const ConvShape& s = spec.shape;
  AlignedBuffer weights(s.oc * (s.c / s.groups) * s.kh * s.kw * bytes_of(spec.weights)), bias(s.oc * 4),
      src(s.h * s.w * s.c * bytes_of(spec.src));
  fill(spec.weights, weights, random);
  fill(spec.src, src, random);
  for (int64_t i = 0; i < s.oc; ++i) {
    if (spec.weights == DType::s8)
      bias.as<int32_t>()[i] = static_cast<int32_t>(random.next() % 1000);
    else
      bias.as<float>()[i] = static_cast<float>(random.normal());
  }
  const auto packed = candidate.pack(spec, {.weights = weights.data(), .bias = bias.data()});
  const auto stored = packed->stored();
  const std::vector<int64_t> sizes = candidate.storage.sizes(spec);
  ASSERT_EQ(stored.size(), sizes.size());
  std::vector<AlignedBuffer> parts;
  for (size_t i = 0; i < sizes.size(); ++i) {
    ASSERT_EQ(static_cast<int64_t>(stored[i].size()), sizes[i]);
    parts.push_back(AlignedBuffer::borrow(stored[i].data(), sizes[i], packed));
  }
  AlignedBuffer back = AlignedBuffer::zeroed(weights.bytes());
  candidate.storage.unpack(spec, parts, back.data());
  EXPECT_EQ(std::memcmp(back.data(), weights.data(), static_cast<size_t>(weights.bytes())), 0);
  if (!runs_here(candidate.isa)) return;
  const auto again = candidate.pack(spec, {.bias = bias.data(), .stored = parts});
  EXPECT_EQ(answer(candidate, spec, again, src), answer(candidate, spec, packed, src));
}

TEST(ConvStorage, GivesTheWeightsBackAndTheSameAnswers) {
  int64_t kept = 0, checked = 0;
  for (const ConvCandidate& candidate : conv_candidates()) {
    if (candidate.storage.sizes == nullptr) continue;
    ++kept;
    for (const DType type : {DType::s8, DType::bf16, DType::f32})
      for (const ConvShape& s : {shape(3, 17, 3), shape(64, 64, 1), shape(70, 33, 1), shape(16, 48, 3),
                                 shape(5, 40, 5), shape(24, 36, 3, 4), shape(12, 8, 3, 1, 2),
                                 shape(130, 7, 3), shape(1, 1, 1), shape(3, 20, 7), shape(4, 9, 5)}) {
        const ConvSpec spec = spec_for(s, type);
        if (!candidate.unsupported(spec).empty() || !candidate.storage.refuses(spec).empty()) continue;
        ++checked;
        check(candidate, spec);
      }
  }
  EXPECT_GE(kept, 7);
  EXPECT_GE(checked, 50);
}

TEST(ConvStorage, KeepsNoWeightsThatWouldGrow) {
  const ConvCandidate* candidate = find_conv_candidate("conv_f16_avx512");
  ASSERT_NE(candidate, nullptr);
  EXPECT_NE(candidate->storage.refuses(spec_for(shape(8, 8, 1), DType::f16)), "");
  EXPECT_EQ(find_conv_candidate("conv_of_nobody"), nullptr);
}

}  // namespace
}  // namespace narrow::kernels
