#include "tensor/tensor.h"

#include <gtest/gtest.h>
#include <atomic>
#include <cstring>
#include <thread>

#include <cmath>
#include <limits>

namespace narrow {
namespace {

constexpr DType kAll[] = {DType::f32, DType::f64, DType::f16,    DType::bf16, DType::s8,
                          DType::u8,  DType::s16, DType::u16,    DType::s32,  DType::u32,
                          DType::s64, DType::u64, DType::boolean};

TEST(DType, NamesAndSizesAgreeWithTheCppTypes) {
  for (const DType type : kAll) {
    EXPECT_EQ(parse_dtype(to_string(type)), type);
    EXPECT_TRUE(dispatch(type, [&](auto tag) {
      EXPECT_EQ(bytes_of(type), static_cast<int64_t>(sizeof(tag)));
      EXPECT_EQ(DTypeOf<decltype(tag)>::value, type);
    }));
  }
  EXPECT_EQ(bytes_of(DType::undefined), 0);
  EXPECT_FALSE(dispatch(DType::undefined, [](auto) {}));
  EXPECT_FALSE(parse_dtype("f8"));
}

TEST(Shape, CheckedElements) {
  EXPECT_EQ(*checked_elements({}, 4), 1);
  EXPECT_EQ(*checked_elements({2, 3, 4}, 8), 24);
  EXPECT_EQ(*checked_elements({2, 0, 4}, 8), 0);
  EXPECT_EQ(*checked_elements({int64_t{1} << 60}, 4), int64_t{1} << 60);
  const int64_t big = int64_t{1} << 32;
  for (const Shape& shape :
       {Shape{-1}, Shape{2, -3}, Shape{0, -1}, Shape{big, big}, Shape{big, big, 0}, Shape{0, big, big},
        Shape{int64_t{1} << 61}, Shape{INT64_MAX, 2}, Shape{INT64_MIN}}) {
    const auto elements = checked_elements(shape, 4);
    ASSERT_FALSE(elements.ok()) << to_string(shape);
    EXPECT_EQ(elements.error().code, Code::invalid_data);
  }
  EXPECT_EQ(row_major_strides({2, 3, 4}), (std::vector<int64_t>{12, 4, 1}));
  EXPECT_EQ(row_major_strides({}), std::vector<int64_t>{});
  EXPECT_EQ(to_string(Shape{1, 3, 2}), "[1,3,2]");
}

TEST(Tensor, CopiesShareAndClonesDoNot) {
  Tensor a = Tensor::of<float>({2, 2}, {1, 2, 3, 4});
  const Tensor shared = a, cloned = a.clone(), reshaped = a.reshaped({4});
  a.mutable_data<float>()[0] = 9;
  EXPECT_EQ(shared.data<float>()[0], 9);
  EXPECT_EQ(reshaped.data<float>()[0], 9);
  EXPECT_EQ(cloned.data<float>()[0], 1);
  EXPECT_TRUE(a.same_bits(shared));
  EXPECT_FALSE(a.same_bits(cloned));
  EXPECT_FALSE(a.same_bits(reshaped));
  EXPECT_EQ(a.bytes(), 16);
  EXPECT_EQ(a.dim(1), 2);
}

TEST(Tensor, EmptyScalarAndUndefined) {
  const Tensor none, empty = Tensor::zeros(DType::f32, {0, 3}), scalar = Tensor::scalar<int64_t>(7);
  EXPECT_FALSE(none.defined());
  EXPECT_FALSE(none.clone().defined());
  EXPECT_EQ(empty.elements(), 0);
  EXPECT_TRUE(empty.same_bits(empty.clone()));
  EXPECT_EQ(to_floats(empty).size(), 0U);
  EXPECT_EQ(scalar.rank(), 0);
  EXPECT_EQ(to_ints(scalar), std::vector<int64_t>{7});
}

TEST(Tensor, BorrowedMemoryIsKeptAndReadOnly) {
  auto owner = std::make_shared<std::vector<float>>(std::vector<float>{1, 2});
  Tensor t = Tensor::borrow(DType::f32, {2}, owner->data(), owner);
  owner.reset();
  EXPECT_EQ(t.data<float>()[1], 2);
  EXPECT_DEATH((void)t.mutable_raw(), "please report");
  EXPECT_DEATH((void)t.data<int8_t>(), "please report");
  Tensor own = t.clone();
  own.mutable_data<float>()[1] = 5;
  EXPECT_EQ(t.data<float>()[1], 2);
}

TEST(Cast, FloatToIntegerTruncatesAndSaturates) {
  constexpr float kInf = std::numeric_limits<float>::infinity(),
                  kNaN = std::numeric_limits<float>::quiet_NaN();
  const Tensor x = Tensor::of<float>({8}, {1.9F, -1.9F, 300, -300, kInf, -kInf, kNaN, 1e30F});
  EXPECT_EQ(to_ints(cast(x, DType::u8)), (std::vector<int64_t>{1, 0, 255, 0, 255, 0, 0, 255}));
  EXPECT_EQ(to_ints(cast(x, DType::s8)), (std::vector<int64_t>{1, -1, 127, -128, 127, -128, 0, 127}));
  EXPECT_EQ(to_ints(cast(x, DType::s32)),
            (std::vector<int64_t>{1, -1, 300, -300, INT32_MAX, INT32_MIN, 0, INT32_MAX}));
  EXPECT_EQ(to_ints(cast(x, DType::s64)),
            (std::vector<int64_t>{1, -1, 300, -300, INT64_MAX, INT64_MIN, 0, INT64_MAX}));
  EXPECT_EQ(cast(x, DType::u64).data<uint64_t>()[7], UINT64_MAX);
  EXPECT_EQ(to_ints(cast(x, DType::boolean)), (std::vector<int64_t>{1, 1, 1, 1, 1, 1, 1, 1}));
  // The largest floats below 2^31 and 2^63 are exact; 2^31 and 2^63 themselves saturate.
  EXPECT_EQ(to_ints(cast(Tensor::of<float>({2}, {2147483520.0F, 2147483648.0F}), DType::s32)),
            (std::vector<int64_t>{2147483520, INT32_MAX}));
  EXPECT_EQ(to_ints(Tensor::of<double>({2}, {9007199254740993.0, 0x1p63})),
            (std::vector<int64_t>{9007199254740992, INT64_MAX}));
}

TEST(Cast, HalvesRoundOnceAndOverflowToInf) {
  const Tensor x = Tensor::of<float>({3}, {65504, 65520, -1e9F});
  const auto half = to_floats(cast(x, DType::f16));
  EXPECT_EQ(half[0], 65504);
  EXPECT_TRUE(std::isinf(half[1]) && half[1] > 0);
  EXPECT_TRUE(std::isinf(half[2]) && half[2] < 0);
  EXPECT_EQ(to_floats(cast(Tensor::of<float>({1}, {257}), DType::bf16))[0], 256);
  EXPECT_EQ(to_ints(cast(cast(x, DType::f16), DType::s8)), (std::vector<int64_t>{127, 127, -128}));
}

/// Small whole numbers mean the same in every type, whichever way they go.
TEST(Cast, SmallNumbersSurviveEveryPairOfTypes) {
  const Tensor x = Tensor::of<int64_t>({4}, {0, 1, 1, 0}), y = Tensor::of<int64_t>({3}, {0, 2, 100});
  for (const DType a : kAll)
    for (const DType b : kAll) {
      EXPECT_EQ(to_ints(cast(cast(x, a), b)), (std::vector<int64_t>{0, 1, 1, 0}))
          << to_string(a) << to_string(b);
      if (a == DType::boolean || b == DType::boolean) continue;

      EXPECT_EQ(to_floats(cast(cast(y, a), b)), (std::vector<float>{0, 2, 100}))
          << to_string(a) << to_string(b);
    }
}

/// Files hold booleans as any byte; every one but 0 is true.
TEST(Cast, BooleanBytesCountAsZeroOrNot) {
  static const uint8_t bytes[] = {0, 1, 2, 255};
  const Tensor t = Tensor::borrow(DType::boolean, {4}, bytes, nullptr);
  EXPECT_EQ(to_ints(t), (std::vector<int64_t>{0, 1, 1, 1}));
  EXPECT_EQ(to_floats(t), (std::vector<float>{0, 1, 1, 1}));
}

/// What ml_dtypes gives: -9..15 truncated, the low bits kept.
TEST(Cast, BelowEightBitsKeepsTheLowBits) {
  const Tensor x = Tensor::of<float>({7}, {-9, -8, 7, 8, 15, 3.7F, -3.7F});
  EXPECT_EQ(to_ints(cast(x, DType::s4)), (std::vector<int64_t>{7, -8, 7, -8, -1, 3, -3}));
  EXPECT_EQ(to_ints(cast(x, DType::u4)), (std::vector<int64_t>{7, 8, 7, 8, 15, 3, 13}));
  EXPECT_EQ(to_ints(cast(x, DType::s2)), (std::vector<int64_t>{-1, 0, -1, 0, -1, -1, 1}));
  EXPECT_EQ(to_ints(cast(x, DType::u2)), (std::vector<int64_t>{3, 0, 3, 0, 3, 3, 1}));
  EXPECT_EQ(to_ints(cast(Tensor::of<int64_t>({2}, {int64_t{1} << 40 | 9, -1}), DType::s4)),
            (std::vector<int64_t>{-7, -1}));
}

TEST(Cast, EightBitFloatsTakeTheirOptions) {
  const Tensor x = Tensor::of<float>({3}, {1e6F, 3, -INFINITY});
  EXPECT_EQ(to_floats(cast(x, DType::f8e4m3fn)), (std::vector<float>{448, 3, -448}));
  const auto special = to_floats(cast(x, DType::f8e5m2, {.overflow = Overflow::special}));
  EXPECT_EQ(special, (std::vector<float>{INFINITY, 3, -INFINITY}));
  EXPECT_EQ(to_floats(cast(x, DType::f8e8m0))[1], 4);
  EXPECT_EQ(to_floats(cast(x, DType::f8e8m0, {.rounding = ScaleRounding::down}))[1], 2);
}

TEST(Cast, DoublesAndLargeIntegersRoundOnce) {
  // Halfway between two halves in float, above it in double.
  EXPECT_EQ(cast(Tensor::scalar(1 + 0x1p-11 + 0x1p-40), DType::f16).data<f16>()[0].bits, 0x3c01);
  EXPECT_EQ(
      cast(Tensor::scalar((int64_t{1} << 40) + (int64_t{1} << 32) + 1), DType::bf16).data<bf16>()[0].bits,
      bf16(0x1.02p40F).bits);
}

TEST(SameValues, SeesWhatACastLost) {
  const Tensor x = Tensor::of<float>({2}, {0.5F, NAN}), y = Tensor::of<float>({2}, {0.51F, NAN});
  EXPECT_TRUE(same_values(x, cast(x, DType::f8e4m3fn)));
  EXPECT_FALSE(same_values(y, cast(y, DType::f8e4m3fn)));
  const Tensor i = Tensor::of<int8_t>({2}, {-8, 8});
  EXPECT_FALSE(same_values(i, cast(i, DType::s4)));
  EXPECT_FALSE(same_values(x, x.reshaped({2, 1})));
}

TEST(Tensor, DeferredStorageIsMadeOnTheFirstRead) {
  std::atomic<int> made = 0;
  const Tensor t = Tensor::deferred(DType::s32, {2, 3}, [&](std::byte* out) {
    ++made;
    for (int32_t i = 0; i < 6; ++i) std::memcpy(out + 4 * i, &i, 4);
  });
  const Tensor same = t.reshaped({6});
  EXPECT_EQ(t.bytes(), 24);
  EXPECT_EQ(t.identity(), same.identity());
  EXPECT_EQ(made, 0);
  std::vector<std::thread> readers;
  for (int i = 0; i < 4; ++i) readers.emplace_back([same] { EXPECT_EQ(same.data<int32_t>()[5], 5); });
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(made, 1);
  EXPECT_TRUE(t.clone().same_bits(t));
  EXPECT_EQ(t.raw(), same.raw());
}

}  // namespace
}  // namespace narrow
