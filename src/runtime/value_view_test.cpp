#include <gtest/gtest.h>

#include "base/random.h"
#include "runtime/session.h"

namespace narrow::runtime {
namespace {

/// A value that lies here as `shape`, axis i being axis perm[i] of its origin.
struct Here {
  Here(DType type, Shape shape, std::vector<int64_t> perm,
       std::shared_ptr<const Quantization> quant = nullptr)
      : memory(Tensor::zeros(type, shape)) {
    value.type = ir::TensorType::of(type, shape);
    value.type.quant = std::move(quant);
    value.origin_perm = std::move(perm);
  }
  ValueView view() { return {&value, memory.shape(), memory.mutable_raw()}; }
  ir::Value value;
  Tensor memory;
};

Tensor numbered(Shape shape, float first = 0, float step = 1) {
  Tensor t = Tensor::allocate(DType::f32, std::move(shape));
  for (float& x : t.mutable_data<float>()) x = first, first += step;
  return t;
}

TEST(ValueView, FloatsOneBehindTheOther) {
  Here here(DType::f32, {1, 2, 3, 5}, {});
  const Tensor wide = numbered({1, 2, 3, 5});
  std::copy_n(wide.data<float>().data(), 30, here.memory.mutable_data<float>().data());
  std::vector<float> room;
  ValueView view = here.view();
  EXPECT_EQ(view.floats(room).data(), here.memory.data<float>().data());
  EXPECT_EQ(view.floats(room).size(), 30U);
  view.shape = {1, 2, 3, 2}, view.pitch = 5;
  view.data = here.memory.mutable_data<float>().data() + 1;
  const std::span<const float> dense = view.floats(room);
  EXPECT_EQ(std::vector<float>(dense.begin(), dense.end()),
            (std::vector<float>{1, 2, 6, 7, 11, 12, 16, 17, 21, 22, 26, 27}));
  view.for_each_run([](float* first, int64_t count) { std::fill_n(first, count, -1.0F); });
  const auto after = here.memory.data<float>();
  for (size_t i = 0; i < 30; ++i)
    EXPECT_EQ(after[i], i % 5 == 1 || i % 5 == 2 ? -1.0F : static_cast<float>(i));
}

TEST(ValueView, PermutesBothWays) {
  // NCHW [2,3,4,5] lies as NHWC [2,4,5,3].
  Here here(DType::f32, {2, 4, 5, 3}, {0, 2, 3, 1});
  const Tensor origin = numbered({2, 3, 4, 5});
  here.view().set_from_reference(origin);
  const auto x = here.memory.data<float>();
  for (int64_t n = 0; n < 2; ++n)
    for (int64_t c = 0; c < 3; ++c)
      for (int64_t h = 0; h < 4; ++h)
        for (int64_t w = 0; w < 5; ++w)
          ASSERT_EQ(x[static_cast<size_t>(((n * 4 + h) * 5 + w) * 3 + c)], ((n * 3 + c) * 4 + h) * 5 + w);
  EXPECT_TRUE(here.view().to_reference().same_bits(origin));
  Here cycle(DType::f32, {4, 2, 3}, {2, 0, 1});  // neither its own inverse
  const Tensor three = numbered({2, 3, 4});
  cycle.view().set_from_reference(three);
  EXPECT_EQ(cycle.memory.data<float>()[7], 5);  // [1,0,1] here: axes 2, 0, 1 of the origin, so [0,1,1] there
  EXPECT_TRUE(cycle.view().to_reference().same_bits(three));
}

TEST(ValueView, EveryFloatAndQuantizedTypeComesBack) {
  const auto per_tensor =
      std::make_shared<const Quantization>(Quantization{.scale = {0.5F}, .zero_point = {3}, .axis = -1});
  for (const DType type : {DType::f32, DType::f16, DType::bf16, DType::u8, DType::s8})
    for (const std::vector<int64_t>& perm : {std::vector<int64_t>{}, {1, 0}}) {
      Here here(type, perm.empty() ? Shape{2, 3} : Shape{3, 2}, perm, is_int8(type) ? per_tensor : nullptr);
      const Tensor origin = numbered({2, 3}, -1.5F, 0.5F);
      here.view().set_from_reference(origin);
      EXPECT_TRUE(here.view().to_reference().same_bits(origin)) << to_string(type);
    }
}

TEST(ValueView, QuantizesRoundsAndSaturates) {
  Here here(
      DType::u8, {4}, {},
      std::make_shared<const Quantization>(Quantization{.scale = {0.5F}, .zero_point = {10}, .axis = -1}));
  here.view().set_from_reference(Tensor::of<float>({4}, {-100, 0.25F, 0.75F, 1000}));
  EXPECT_EQ(to_ints(here.memory), (std::vector<int64_t>{0, 10, 12, 255}));
}

TEST(ValueView, PerChannelQuantizationFollowsTheAxisHere) {
  // Channel axis 1 of the origin is axis 2 here.
  Here here(
      DType::s8, {1, 2, 2}, {0, 2, 1},
      std::make_shared<const Quantization>(Quantization{.scale = {1, 10}, .zero_point = {0, 5}, .axis = 2}));
  const Tensor origin = Tensor::of<float>({1, 2, 2}, {1, 2, 30, 40});
  here.view().set_from_reference(origin);
  EXPECT_EQ(to_ints(here.memory), (std::vector<int64_t>{1, 8, 2, 9}));
  EXPECT_TRUE(here.view().to_reference().same_bits(origin));
}

}  // namespace
}  // namespace narrow::runtime
