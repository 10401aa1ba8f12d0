// The public headers alone, as a user has them.
#include <gtest/gtest.h>

#include <array>
#include <limits>

#include "narrow/narrow.h"

namespace {

using narrow::DType;
using narrow::Tensor;

TEST(PublicTensor, OwnsZerosOfEveryType) {
  for (int i = static_cast<int>(DType::f32); i <= static_cast<int>(DType::boolean); ++i) {
    const auto type = static_cast<DType>(i);
    const auto tensor = Tensor::zeros(type, {2, 3});
    ASSERT_TRUE(tensor.ok()) << to_string(type);
    EXPECT_EQ(tensor->elements(), 6);
    EXPECT_EQ(tensor->bytes(), 6 * bytes_of(type));
    const auto* bytes = static_cast<const unsigned char*>(tensor->raw());
    for (int64_t k = 0; k < tensor->bytes(); ++k) EXPECT_EQ(bytes[k], 0);
  }
}

TEST(PublicTensor, CopiesShareAndClonesDoNot) {
  auto tensor = Tensor::zeros(DType::f32, {3});
  ASSERT_TRUE(tensor.ok());
  const Tensor copy = *tensor;
  const auto clone = tensor->clone();
  (*tensor->mutable_data<float>())[1] = 5;
  EXPECT_EQ((*copy.data<float>())[1], 5);
  EXPECT_EQ((*clone->data<float>())[1], 0);
}

TEST(PublicTensor, ViewsSeeTheCallersMemory) {
  std::array<float, 4> values = {1, 2, 3, 4};
  auto view = Tensor::view({2, 2}, std::span<float>(values));
  ASSERT_TRUE(view.ok());
  EXPECT_EQ(view->raw(), values.data());
  (*view->mutable_data<float>())[3] = 7;
  EXPECT_EQ(values[3], 7);
  const auto constant = Tensor::view({4}, std::span<const float>(values));
  ASSERT_TRUE(constant.ok());
  EXPECT_FALSE(constant->writable());
  Tensor copy = *constant;
  EXPECT_EQ(copy.mutable_raw(), nullptr);
  EXPECT_EQ(copy.mutable_data<float>().error().code, narrow::Code::invalid_argument);
}

TEST(PublicTensor, WrongUseIsAnError) {
  constexpr int64_t kLarge = std::numeric_limits<int64_t>::max();
  std::array<float, 4> values = {};
  const auto refused = [](const auto& result) {
    EXPECT_FALSE(result.ok());
    return result.ok() ? "" : result.error().message();
  };
  EXPECT_NE(refused(Tensor::zeros(DType::f32, {2, -1})), "");
  EXPECT_NE(refused(Tensor::zeros(DType::f32, {kLarge, kLarge})), "");
  EXPECT_NE(refused(Tensor::zeros(DType::undefined, {1})), "");
  EXPECT_NE(refused(Tensor::zeros(static_cast<DType>(99), {1})), "");
  EXPECT_STREQ(to_string(static_cast<DType>(255)), "undefined");
  EXPECT_NE(refused(Tensor::view(DType::f32, {1}, static_cast<void*>(nullptr))), "");
  EXPECT_TRUE(Tensor::view(DType::f32, {0, 3}, static_cast<void*>(nullptr)).ok());
  EXPECT_EQ(refused(Tensor::view({5}, std::span<float>(values))),
            "tensor [5]: expected as many values as the shape has elements, got 4");
  EXPECT_EQ(refused(Tensor::zeros(DType::s8, {2, 2})->data<float>()),
            "tensor [2,2]: expected s8, got a request for f32");
}

TEST(PublicTensor, NoMemoryIsAnError) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "sanitizers end the process where operator new would throw";
#else
  const auto tensor = Tensor::zeros(DType::f32, {std::numeric_limits<int64_t>::max() / 8});
  ASSERT_FALSE(tensor.ok());
  EXPECT_EQ(tensor.error().code, narrow::Code::internal);
#endif
}

TEST(PublicTensor, UndefinedHasNothing) {
  const Tensor none;
  EXPECT_FALSE(none.defined());
  EXPECT_EQ(none.elements(), 0);
  EXPECT_FALSE(none.data<float>().ok());
  EXPECT_FALSE(none.clone()->defined());
}

TEST(PublicResultDeathTest, TakingTheValueOfAnErrorSaysWhichError) {
  EXPECT_DEATH((void)*Tensor::zeros(DType::f32, {-1}), "the value of an error was taken: shape \\[-1\\]");
}

}  // namespace
