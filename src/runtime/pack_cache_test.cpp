#include "runtime/pack_cache.h"

#include <gtest/gtest.h>

namespace narrow::runtime {
namespace {

class PackCacheTest : public testing::Test {
 protected:
  PackCacheTest() : weights_(Tensor::allocate(DType::bf16, {40, 24, 3, 3})) {
    spec_.shape = {.n = 1, .h = 4, .w = 4, .c = 24, .oh = 2, .ow = 2, .oc = 40, .kh = 3, .kw = 3};
    spec_.src = spec_.weights = spec_.dst = DType::bf16;
    float next = 0;
    for (bf16& w : weights_.mutable_data<bf16>()) w = bf16(next++);
  }

  /// What a session that chose `kernel` leaves in a file.
  artifact::PackedConstant packed_by(const char* kernel) const {
    const auto made = kernels::find_conv_candidate(kernel)->pack(spec_, {.weights = weights_.raw()});
    artifact::PackedConstant packed{
        .constant = weights_, .kernel = kernel, .spec = spec_, .transposed = false, .parts = {}};
    for (const auto part : made->stored())
      packed.parts.push_back(AlignedBuffer::borrow(part.data(), static_cast<int64_t>(part.size()), made));
    return packed;
  }

  /// Whether `kernel` takes what `maker` packed, instead of packing the weights itself.
  bool reads(const char* kernel, const char* maker) const {
    PackCache cache;
    artifact::PackedConstant packed = packed_by(maker);
    const std::byte* const lies_at = packed.parts[0].data();
    cache.add(std::move(packed));
    int asked = 0;
    const std::function<Tensor()> ordered = [&] { return ++asked, weights_; };
    const std::string node = "y";
    const auto got =
        cache.get({node, *kernels::find_conv_candidate(kernel), spec_, weights_, ordered, nullptr});
    return asked == 0 && got->stored()[0].data() == lies_at;
  }

  kernels::ConvSpec spec_;
  Tensor weights_;
};

TEST_F(PackCacheTest, KernelsOfOneOrderReadEachOthersWeights) {
  EXPECT_TRUE(reads("conv_bf16_amx", "conv_bf16_amx"));
  EXPECT_TRUE(reads("conv_bf16_avx512bf16", "conv_bf16_amx"));
  EXPECT_TRUE(reads("conv_bf16_amx", "conv_bf16_avx512bf16"));
}

TEST_F(PackCacheTest, OtherKernelsPackAnew) { EXPECT_FALSE(reads("conv_bf16_avx512", "conv_bf16_amx")); }

}  // namespace
}  // namespace narrow::runtime
