#include "artifact/artifact.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "artifact/container.h"
#include "base/file.h"
#include "ir/schema.h"
#include "ir/text.h"

namespace narrow::artifact {
namespace {

using testing::HasSubstr;

/// relu(x * w + b): w is large enough for the blob, b stands in the text.
Package sample() {
  Package package;
  ir::Graph& graph = package.graph;
  graph.name = "sample";
  graph.metadata["producer"] = "a test";
  ir::Value* x = graph.add_input("x", ir::TensorType::of(DType::f32, {1, 12}));
  std::vector<float> weights(144);
  for (size_t i = 0; i < weights.size(); ++i) weights[i] = static_cast<float>(i) * 0.25F;
  ir::Value* w = graph.add_constant("w", Tensor::of(Shape{12, 12}, weights));
  ir::Value* b = graph.add_constant("b", Tensor::scalar(0.1F));
  ir::Value* y = graph.add_node(ir::Op::MatMul, {x, w}, {"p"})->output();
  y = graph.add_node(ir::Op::Add, {y, b}, {"s"})->output();
  graph.add_output("y", graph.add_node(ir::Op::Relu, {y}, {"y"}, {}, "last")->output());
  EXPECT_TRUE(ir::infer_types(graph).ok());
  package.about = {{"precision", "fp32"}, {"model", {{"hash", "00ff"}}}};
  return package;
}

class Artifact : public testing::Test {
 protected:
  std::filesystem::path path_ = std::filesystem::path(testing::TempDir()) /
                                ("narrow_artifact_" + std::to_string(::getpid()) + ".narrow");
  void TearDown() override { std::filesystem::remove(path_); }

  std::string bytes() const { return std::string(MappedFile::open(path_).value()->text()); }
  void expect_rejected(const std::string& content, const std::string& part) const {
    ASSERT_TRUE(write_file(path_, content).ok());
    const auto package = read(path_);
    ASSERT_FALSE(package.ok()) << part;
    EXPECT_EQ(package.error().code, Code::invalid_model);
    EXPECT_THAT(package.error().message(), HasSubstr(part));
  }
};

TEST_F(Artifact, ComesBackAsItWas) {
  const Package package = sample();
  ASSERT_TRUE(write(path_, package).ok());
  EXPECT_TRUE(is_artifact(path_));
  const auto back = read(path_);
  ASSERT_TRUE(back.ok()) << back.error().message();
  ir::Blob before, after;
  EXPECT_EQ(ir::print(back->graph, &after), ir::print(package.graph, &before));
  EXPECT_EQ(after.bytes, before.bytes);
  EXPECT_EQ(back->about, package.about);
  EXPECT_EQ(back->graph.metadata, package.graph.metadata);
}

TEST_F(Artifact, ConstantsAreAlignedAndOutliveTheRest) {
  ASSERT_TRUE(write(path_, sample()).ok());
  Tensor w;
  {
    const auto back = read(path_);
    ASSERT_TRUE(back.ok()) << back.error().message();
    w = back->graph.find_value("w")->constant();
  }
  EXPECT_EQ(reinterpret_cast<uintptr_t>(w.raw()) % 64, 0U);
  EXPECT_EQ(w.data<float>()[143], 143 * 0.25F);
}

TEST_F(Artifact, SamePackageSameBytes) {
  ASSERT_TRUE(write(path_, sample()).ok());
  const std::string first = bytes();
  ASSERT_TRUE(write(path_, sample()).ok());
  EXPECT_EQ(bytes(), first);
}

TEST_F(Artifact, EveryFlippedByteIsNoticed) {
  ASSERT_TRUE(write(path_, sample()).ok());
  std::string content = bytes();
  for (size_t at = 0; at < content.size(); ++at)
    for (const int flip : {0x01, 0x80}) {
      content[at] = static_cast<char>(content[at] ^ flip);
      EXPECT_FALSE(unpack(std::as_bytes(std::span(content)), "x").ok()) << "byte " << at;
      content[at] = static_cast<char>(content[at] ^ flip);
    }
  EXPECT_TRUE(unpack(std::as_bytes(std::span(content)), "x").ok());
}

TEST_F(Artifact, EveryTruncationIsNoticed) {
  ASSERT_TRUE(write(path_, sample()).ok());
  const std::string content = bytes();
  for (size_t length = 0; length < content.size(); ++length)
    EXPECT_FALSE(unpack(std::as_bytes(std::span(content).first(length)), "x").ok()) << length;
}

TEST_F(Artifact, WhatAChecksumCannotCatch) {
  expect_rejected("ONNX? no.", "magic");
  expect_rejected("", "magic");
  std::string newer = pack("", "graph", Json::object());
  newer[kVersionAt] = '\2';
  expect_rejected(newer, "version 2");
  expect_rejected(pack("", "this is no graph", Json::object()), "narrow_artifact");
  expect_rejected(
      pack("", "graph g() {\n  @w: f32[100] = blob 64 400\n  return @w as \"w\"\n}\n", Json::object()),
      "narrow_artifact");
  EXPECT_TRUE(is_artifact(path_));
}

TEST_F(Artifact, MissingFile) {
  EXPECT_FALSE(is_artifact(path_));
  const auto package = read(path_);
  ASSERT_FALSE(package.ok());
  EXPECT_EQ(package.error().code, Code::not_found);
}

}  // namespace
}  // namespace narrow::artifact
