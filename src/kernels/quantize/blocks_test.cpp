#include "kernels/quantize/blocks.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/random.h"
#include "tensor/packing.h"

namespace narrow::kernels {
namespace {

constexpr DType kCodes[] = {DType::f8e4m3fn, DType::f8e4m3fnuz, DType::f8e5m2, DType::f8e5m2fnuz,
                            DType::f6e2m3,   DType::f6e3m2,     DType::f4e2m1, DType::s4,
                            DType::u4,       DType::s2,         DType::u2,     DType::s8,
                            DType::u8};

/// In double, element by element; each rounded once to f32, then to dst.
Tensor reference(const BlockSpec& spec, const Tensor& codes) {
  const Tensor numbers = cast(codes, DType::f64);
  std::vector<float> out(static_cast<size_t>(spec.count()));
  for (int64_t e = 0; e < spec.count(); ++e) {
    const int64_t o = e / (spec.axis * spec.inner), a = e / spec.inner % spec.axis, i = e % spec.inner;
    const int64_t at = o * spec.outer_stride + a / spec.block * spec.block_stride + i * spec.inner_stride;
    out[static_cast<size_t>(e)] = static_cast<float>(
        (numbers.data<double>()[static_cast<size_t>(e)] - static_cast<double>(spec.zero_point[at])) *
        static_cast<double>(spec.scale[at]));
  }
  return cast(Tensor::of({spec.count()}, out), spec.dst);
}

TEST(DequantizeBlocks, EveryTypeAndGranularityOnEveryIsaAndThreadCount) {
  Random random(5);
  // outer, axis, inner, block, and the strides of: per tensor, per axis, blocks along a middle and the last
  // axis
  for (const BlockSpec& shape :
       {BlockSpec{.outer = 1, .axis = 2049, .inner = 1, .block = 2049},
        BlockSpec{.outer = 3, .axis = 7, .inner = 5, .block_stride = 1},
        BlockSpec{.outer = 70, .axis = 1000, .inner = 1, .block_stride = 1},
        BlockSpec{.outer = 2,
        .axis = 5,
        .inner = 1030,
        .block = 2,
        .outer_stride = 3090,
        .block_stride = 1030,
        .inner_stride = 1},
        BlockSpec{.outer = 40, .axis = 1100, .inner = 1, .block = 32, .outer_stride = 35, .block_stride = 1},
        BlockSpec{.outer = 0, .axis = 4, .inner = 3}})
    for (const DType src : kCodes) {
      BlockSpec spec = shape;
      spec.src = src;
      std::vector<float> numbers, scales, zeros;
      for (int64_t e = 0; e < spec.count(); ++e) numbers.push_back(static_cast<float>(random.uniform(-9, 9)));
      for (int64_t p = 0; p < 7000; ++p) {
        scales.push_back(static_cast<float>(random.uniform(0.003, 0.05)));
        zeros.push_back(static_cast<float>(random.integer(0, 1)));
      }
      spec.scale = scales.data(), spec.zero_point = zeros.data();
      const Tensor codes = cast(Tensor::of({spec.count()}, numbers), src);
      for (const DType dst : {DType::f32, DType::bf16, DType::f16})
        for (const int threads : {1, 3}) {
          spec.dst = dst;
          ThreadPool pool(threads);
          Tensor got = Tensor::allocate(dst, {spec.count()});
          dequantize_blocks(spec, codes.raw(), got.mutable_raw(), usable_isa(), pool);
          ASSERT_TRUE(got.same_bits(reference(spec, codes))) << to_string(src) << to_string(dst);
        }
    }
}

}  // namespace
}  // namespace narrow::kernels
