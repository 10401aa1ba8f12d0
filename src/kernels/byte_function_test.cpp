#include "kernels/byte_function_fit.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/conv/conv.h"
#include "kernels/conv/narrow_case.h"

namespace narrow::kernels {
namespace {

TensorQuant quant_of(DType type, float low, float high) {
  const float scale = (high - low) / 255;
  return {scale, static_cast<int32_t>(std::lround(-low / scale)) - (type == DType::s8 ? 128 : 0)};
}

struct Named {
  Activation activation;
  float low, high;  // of what is stored
};

constexpr float kInf = std::numeric_limits<float>::infinity();

const Named kFunctions[] = {{{Act::silu}, -0.2785F, 1},
                            {{Act::silu}, -0.2785F, 7},
                            {{Act::silu}, -0.2785F, 20},
                            {{Act::silu}, -0.2785F, 2},
                            {{Act::gelu}, -0.17F, 5},
                            {{Act::gelu_tanh}, -0.17F, 5},
                            {{Act::hard_swish}, -0.375F, 2},
                            {{Act::hard_swish}, -0.375F, 30},
                            {{Act::mish}, -0.309F, 8},
                            {{Act::sigmoid}, 0, 1},
                            {{Act::tanh}, -1, 1},
                            {{Act::hard_sigmoid, 0.2F, 0.5F}, 0, 1},
                            {{Act::elu, 1}, -1, 6},
                            {{Act::leaky_relu, 0.1F}, -1, 10},
                            {{Act::leaky_relu, 0.01F}, -0.3F, 9}};

/// apply() in FP32 is far nearer to the function than a step of bytes is wide.
double in_steps(const Named& f, DType type, const TensorQuant& quant, double x) {
  const double y = apply(f.activation, static_cast<float>(x));
  return std::clamp(y / quant.scale + quant.zero_point - (type == DType::u8 ? 128 : 0), -128.0, 127.0);
}

TEST(ByteFunction, EveryPositionIsWithinTheErrorItStates) {
  for (const DType type : {DType::u8, DType::s8})
    for (const Named& f : kFunctions) {
      const TensorQuant quant = quant_of(type, f.low, f.high);
      const auto function = byte_function(f.activation, type, quant);
      ASSERT_NE(function, nullptr) << to_string(f.activation.kind) << " up to " << f.high;
      EXPECT_LE(function->error, 0.2F);
      double worst = 0;
      for (int32_t position = -32768; position <= 32767; ++position) {
        const double x = position * static_cast<double>(function->step);
        worst = std::max(worst, std::abs(byte_at(*function, position) - in_steps(f, type, quant, x)));
      }
      // Rounding to a byte, and what lies between the positions that were looked at.
      EXPECT_LE(worst, 0.5 + 1.1 * function->error + 0.01)
          << to_string(f.activation.kind) << " up to " << f.high;
    }
}

TEST(ByteFunction, NothingMovesBeyondItsReach) {
  for (const Named& f : kFunctions) {
    const TensorQuant quant = quant_of(DType::u8, f.low, f.high);
    const auto function = byte_function(f.activation, DType::u8, quant);
    ASSERT_NE(function, nullptr);
    const double reach = 32768.0 * function->step;
    for (const double side : {-reach, reach})
      for (const double further : {1.01, 1.5, 2.0, 10.0, 1000.0})
        EXPECT_NEAR(in_steps(f, DType::u8, quant, side * further), in_steps(f, DType::u8, quant, side), 0.1)
            << to_string(f.activation.kind) << " up to " << f.high << " at " << side * further;
  }
}

TEST(ByteFunction, NoneWhereItWouldNotDo) {
  const TensorQuant quant = quant_of(DType::u8, 0, 6);
  EXPECT_EQ(byte_function({Act::relu}, DType::u8, quant), nullptr);
  EXPECT_EQ(byte_function({Act::clip, 0, 6}, DType::u8, quant), nullptr);
  EXPECT_EQ(byte_function({Act::silu}, DType::f32, quant), nullptr);
  EXPECT_EQ(byte_function({Act::silu}, DType::u8, quant_of(DType::u8, -0.2785F, 50)), nullptr)
      << "too coarse";
  EXPECT_EQ(byte_function({Act::silu}, DType::u8, quant_of(DType::u8, -0.1F, 0.2F)), nullptr) << "too coarse";
  EXPECT_EQ(byte_function({Act::silu}, DType::u8, {0, 0}), nullptr);
  EXPECT_EQ(byte_function({Act::silu}, DType::u8, {kInf, 0}), nullptr);
}

/// A 1x1 convolution whose sums are the positions themselves: every one of them, on every instruction set.
TEST(ByteFunction, EveryPositionIsTheSameInEveryKernel) {
  for (const DType dst : {DType::u8, DType::s8}) {
    ConvSpec spec;
    spec.shape = testing_conv::shape(1, 16, 16, 1, 256, 1, 1, 1, 0);
    spec.src = DType::u8, spec.weights = DType::s8, spec.dst = dst, spec.bias = true;
    spec.activation = {Act::silu};
    spec.dst_quant = quant_of(dst, -0.2785F, 7);
    give_function(spec);
    ASSERT_NE(spec.function, nullptr);
    spec.src_quant.scale = spec.function->step;
    spec.weight_scale = {1};
    testing_conv::Case c = testing_conv::make_case(spec, 1);
    for (size_t i = 0; i < 256; ++i) {
      c.src[i] = static_cast<uint8_t>(i);
      testing_conv::put(DType::s8, c.weights.data(), static_cast<int64_t>(i), 1);
      testing_conv::put(DType::s32, c.bias.data(), static_cast<int64_t>(i),
                        static_cast<float>(i) * 256 - 32768);
    }
    const testing_conv::Bytes want = testing_conv::reference(c);
    for (size_t pixel = 0; pixel < 256; ++pixel)
      for (size_t o = 0; o < 256; ++o) {
        const int32_t position = static_cast<int32_t>(pixel + o * 256) - 32768;
        ASSERT_EQ(want[pixel * 256 + o],
                  static_cast<uint8_t>(byte_at(*spec.function, position) + (dst == DType::u8 ? 128 : 0)));
      }
    int kernels = 0;
    for (const ConvCandidate& candidate : conv_candidates()) {
      if (!runs_here(candidate.isa) || !candidate.unsupported(spec).empty()) continue;
      EXPECT_EQ(testing_conv::run(candidate, c, 2), want) << candidate.name;
      ++kernels;
    }
    EXPECT_GE(kernels, 1);
  }
}

}  // namespace
}  // namespace narrow::kernels
