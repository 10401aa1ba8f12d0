// The public headers alone, on the model of examples/digits (input f32[N,1,8,8] or alike, output "logits").
#include "narrow/session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <thread>

#include "narrow/narrow.h"

namespace {

using narrow::Code;
using narrow::DType;
using narrow::Session;
using narrow::Tensor;
using narrow::Tensors;

const std::string kModel = std::string(NARROW_SOURCE_DIR) + "/examples/digits/digits.onnx";

Session open_digits(int threads = 2) {
  auto session = Session::open(kModel, {.threads = threads});
  EXPECT_TRUE(session.ok()) << session.error().message();
  return std::move(session).value();
}

narrow::Shape input_shape(const Session& session, int64_t batch) {
  narrow::Shape shape = session.inputs()[0].shape;
  shape[0] = batch;
  return shape;
}

/// Numbers in [0, 1] that differ from seed to seed.
Tensor pattern(const narrow::Shape& shape, int seed) {
  auto tensor = Tensor::zeros(DType::f32, shape);
  EXPECT_TRUE(tensor.ok());
  const std::span<float> values = *tensor->mutable_data<float>();
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = 0.5F + 0.5F * std::sin(static_cast<float>(seed) + static_cast<float>(i) * 0.7F);
  return *tensor;
}

bool same_bits(const Tensor& a, const Tensor& b) {
  return a.dtype() == b.dtype() && a.shape() == b.shape() &&
         std::memcmp(a.raw(), b.raw(), static_cast<size_t>(a.bytes())) == 0;
}

Tensor logits(Session& session, const Tensor& image) {
  auto outputs = session.run({{"input", image}});
  EXPECT_TRUE(outputs.ok()) << outputs.error().message();
  return outputs->at("logits");
}

TEST(PublicSession, DescribesTheModel) {
  const Session session = open_digits();
  ASSERT_EQ(session.inputs().size(), 1U);
  EXPECT_EQ(session.inputs()[0].name, "input");
  EXPECT_EQ(session.inputs()[0].dtype, DType::f32);
  EXPECT_EQ(session.inputs()[0].shape.at(0), -1);
  ASSERT_EQ(session.outputs().size(), 1U);
  EXPECT_EQ(session.outputs()[0].name, "logits");
  EXPECT_EQ(session.outputs()[0].shape, (narrow::Shape{-1, 10}));
}

TEST(PublicSession, RunsIntoTheCallersMemory) {
  Session session = open_digits();
  std::vector<float> memory(3 * 10, -1);
  for (int seed = 0; seed < 3; ++seed) {
    const Tensor images = pattern(input_shape(session, 3), seed);
    Tensors outputs{{"logits", *Tensor::view({3, 10}, std::span(memory))}};
    const auto done = session.run_into({{"input", images}}, outputs);
    ASSERT_TRUE(done.ok()) << done.error().message();
    Session other = open_digits(1);
    const Tensor wanted = logits(other, images);
    EXPECT_EQ(std::memcmp(memory.data(), wanted.raw(), memory.size() * 4), 0) << seed;
  }
}

TEST(PublicSession, AFailedRunLeavesTheOutputsAlone) {
  Session session = open_digits();
  const Tensor image = pattern(input_shape(session, 1), 1);
  std::vector<float> memory(10, -1);
  const auto refused = [&](const Tensors& inputs, Tensors outputs, const char* text) {
    const auto done = session.run_into(inputs, outputs);
    ASSERT_FALSE(done.ok()) << text;
    EXPECT_THAT(done.error().message(), testing::HasSubstr(text));
    EXPECT_EQ(memory, std::vector<float>(10, -1)) << text;
  };
  const Tensor fits = *Tensor::view({1, 10}, std::span(memory));
  for (int repeat = 0; repeat < 2; ++repeat) {  // before and after a first good run
    refused({{"input", image}}, {{"logits", *Tensor::view({2, 5}, std::span(memory))}},
            "f32[1,10], got f32[2,5]");
    refused({{"input", image}}, {{"logits", Tensor()}}, "'logits'");
    refused({{"input", image}}, {{"logits", fits}, {"scores", fits}}, "'scores'");
    refused({{"input", image}}, {{"logits", *Tensor::view({1, 10}, std::span<const float>(memory))}},
            "constant memory");
    refused({}, {{"logits", fits}}, "'input'");
    EXPECT_TRUE(session.run({{"input", image}}).ok());
  }
}

TEST(PublicSession, WrongInputsAreErrors) {
  Session session = open_digits();
  const Tensor image = pattern(input_shape(session, 1), 1);
  const auto refused = [&](const Tensors& inputs, const char* text) {
    const auto outputs = session.run(inputs);
    ASSERT_FALSE(outputs.ok()) << text;
    EXPECT_EQ(outputs.error().code, Code::invalid_data);
    EXPECT_THAT(outputs.error().message(), testing::HasSubstr(text));
  };
  refused({}, "'input'");
  refused({{"image", image}}, "only image");
  refused({{"input", image}, {"image", image}}, "'image'");
  refused({{"input", *Tensor::zeros(DType::f32, {1, 7})}}, "[1,7]");
  refused({{"input", Tensor()}}, "undefined");
  EXPECT_TRUE(session.run({{"input", image}}).ok());
}

TEST(PublicSession, BytesStandForFloats) {
  Session session = open_digits();
  auto bytes = Tensor::zeros(DType::u8, input_shape(session, 1));
  auto floats = Tensor::zeros(DType::f32, input_shape(session, 1));
  (*bytes->mutable_data<uint8_t>())[9] = 200;
  (*floats->mutable_data<float>())[9] = 200;
  for (int repeat = 0; repeat < 2; ++repeat)
    EXPECT_TRUE(same_bits(logits(session, *bytes), logits(session, *floats)));
}

TEST(PublicSession, OpeningFailsWithAReason) {
  const auto missing = Session::open("/no/such/model.narrow");
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().code, Code::not_found);
  EXPECT_THAT(missing.error().message(), testing::HasSubstr("/no/such/model.narrow"));
  for (const int threads : {-1, 1 << 20})
    EXPECT_EQ(Session::open(kModel, {.threads = threads}).error().code, Code::invalid_argument) << threads;
}

TEST(PublicSession, MovesAndSaysSoAfterwards) {
  Session first = open_digits();
  const Tensor image = pattern(input_shape(first, 1), 4), wanted = logits(first, image);
  Session second = std::move(first);
  EXPECT_TRUE(same_bits(logits(second, image), wanted));
  const auto after = first.run({{"input", image}});  // NOLINT(bugprone-use-after-move)
  EXPECT_EQ(after.error().code, Code::invalid_argument);
  EXPECT_TRUE(first.inputs().empty());
}

/// Four threads on one session and on one each, with batches that change the plan under way.
TEST(PublicSession, ManyThreadsGetTheirOwnAnswers) {
  Session shared = open_digits();
  std::vector<Tensor> images, wanted;
  for (int i = 0; i < 4; ++i) {
    images.push_back(pattern(input_shape(shared, 1 + i % 2), i));
    wanted.push_back(logits(shared, images.back()));
  }
  std::vector<std::thread> threads;
  std::vector<int> wrong(images.size(), 0);
  for (size_t i = 0; i < images.size(); ++i)
    threads.emplace_back([&, i] {
      Session own = open_digits();
      for (int repeat = 0; repeat < 20; ++repeat)
        for (Session* session : {&shared, &own})
          if (!same_bits(logits(*session, images[i]), wanted[i])) ++wrong[i];
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(wrong, testing::Each(0));
}

}  // namespace
