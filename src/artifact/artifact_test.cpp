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
  Result<ir::Graph> portable() const {
    NARROW_TRY(const Opened opened, read(path_));
    return opened.portable();
  }
  /// When it is opened, or when its graph is asked for.
  void expect_rejected(const std::string& content, const std::string& part) const {
    ASSERT_TRUE(write_file(path_, content).ok());
    const auto graph = portable();
    ASSERT_FALSE(graph.ok()) << part;
    EXPECT_EQ(graph.error().code, Code::invalid_model);
    EXPECT_THAT(graph.error().message(), HasSubstr(part));
  }
};

/// A file without constants: a header made for the graph, and what else is to stand in it.
std::string file_of(const std::string& graph, Json header = Json::object(), std::string_view blob = {},
                    std::string_view engine = {}) {
  const auto ports = [](const std::vector<ir::Port>& list) {
    Json json = Json::array();
    for (const ir::Port& port : list) json.push_back({{"name", port.name}, {"type", ir::print(port.type)}});
    return json;
  };
  const ir::PackedSource any = [](int64_t, DType dtype, const Shape& shape) -> Result<Tensor> {
    return Tensor::zeros(dtype, shape);
  };
  const auto parsed = ir::parse(graph, {}, nullptr, any);
  const ir::Interface model = parsed.ok() ? ir::interface_of(*parsed) : ir::Interface();
  if (!header.contains("inputs")) header["inputs"] = ports(model.inputs);
  if (!header.contains("outputs")) header["outputs"] = ports(model.outputs);
  return pack(blob, graph, std::move(header), engine);
}

TEST_F(Artifact, ComesBackAsItWas) {
  const Package package = sample();
  ASSERT_TRUE(write(path_, package).ok());
  EXPECT_TRUE(is_artifact(path_));
  const auto back = read(path_);
  ASSERT_TRUE(back.ok()) << back.error().message();
  EXPECT_FALSE(back->engine.has_value());
  EXPECT_EQ(back->interface, ir::interface_of(package.graph));
  const auto graph = back->portable();
  ASSERT_TRUE(graph.ok()) << graph.error().message();
  ir::Blob before, after;
  EXPECT_EQ(ir::print(*graph, &after), ir::print(package.graph, &before));
  EXPECT_EQ(after.bytes, before.bytes);
  EXPECT_EQ(back->about, package.about);
  EXPECT_EQ(graph->metadata, package.graph.metadata);
}

TEST_F(Artifact, ConstantsAreAlignedAndOutliveTheRest) {
  ASSERT_TRUE(write(path_, sample()).ok());
  Tensor w;
  {
    const auto graph = portable();
    ASSERT_TRUE(graph.ok()) << graph.error().message();
    w = graph->find_value("w")->constant();
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

bool intact(const std::string& content) {
  const auto bytes = std::as_bytes(std::span(content));
  return unpack(bytes, "x").ok() && check_sum(bytes, "x").ok();
}

TEST_F(Artifact, EveryFlippedByteIsNoticed) {
  ASSERT_TRUE(write(path_, sample()).ok());
  std::string content = bytes();
  for (size_t at = 0; at < content.size(); ++at)
    for (const int flip : {0x01, 0x80}) {
      content[at] = static_cast<char>(content[at] ^ flip);
      EXPECT_FALSE(intact(content)) << "byte " << at;
      content[at] = static_cast<char>(content[at] ^ flip);
    }
  EXPECT_TRUE(intact(content));
}

TEST_F(Artifact, EveryTruncationIsNoticed) {
  ASSERT_TRUE(write(path_, sample()).ok());
  const std::string content = bytes();
  for (size_t length = 0; length < content.size(); ++length)
    EXPECT_FALSE(intact(content.substr(0, length))) << length;
}

TEST_F(Artifact, WhatAChecksumCannotCatch) {
  expect_rejected("ONNX? no.", "magic");
  expect_rejected("", "magic");
  std::string newer = pack("", "graph", Json::object());
  newer[kVersionAt] = '\xF';
  expect_rejected(newer, "version 7");
  expect_rejected(file_of("this is no graph"), "'graph'");
  expect_rejected(file_of("graph g() {\n  @w: f32[100] = blob 64 400\n  return @w as \"w\"\n}\n"), "blob");
  std::string shifted = pack(std::string(128, '\0'), "graph g() {\n}\n", Json::object());
  const std::string there = R"({"offset":4096,"size":128})";
  ASSERT_NE(shifted.find(there), std::string::npos);
  shifted.replace(shifted.find(there), there.size(), R"({"offset":4097,"size":127})");
  expect_rejected(shifted, "a multiple of 64");
  EXPECT_TRUE(is_artifact(path_));
}

/// A convolution whose weights an artifact can keep packed, and the packing of them.
struct PackedSample {
  Package package;
  Tensor weights;
};

PackedSample packed_sample(const char* kernel, bool transposed) {
  PackedSample sample;
  const Shape shape = transposed ? Shape{24, 17} : Shape{17, 8, 3, 3};
  sample.weights = Tensor::allocate(DType::s8, shape);
  for (size_t i = 0; i < static_cast<size_t>(sample.weights.elements()); ++i)
    sample.weights.mutable_data<int8_t>()[i] = static_cast<int8_t>(i * 37 % 251);
  PackedConstant packed{sample.weights, kernel, {}, transposed, {}};
  kernels::ConvSpec& spec = packed.spec;
  spec.shape = transposed ? kernels::ConvShape{.c = 24, .oc = 17}
                          : kernels::ConvShape{.c = 8, .oc = 17, .kh = 3, .kw = 3};
  spec.src = spec.dst = DType::u8, spec.weights = DType::s8, spec.weight_scale = {1};
  Tensor ordered = sample.weights;
  if (transposed) {
    ordered = Tensor::allocate(DType::s8, {17, 24});
    for (size_t i = 0; i < 24 * 17; ++i)
      ordered.mutable_data<int8_t>()[i % 17 * 24 + i / 17] = sample.weights.data<int8_t>()[i];
  }
  const auto made = kernels::find_conv_candidate(kernel)->pack(spec, {.weights = ordered.raw()});
  for (const auto part : made->stored())
    packed.parts.push_back(AlignedBuffer::borrow(part.data(), static_cast<int64_t>(part.size()), made));
  sample.package.packed.push_back(std::move(packed));
  ir::Graph& graph = sample.package.graph;
  ir::Value* w = graph.add_constant("w", sample.weights);
  graph.add_output("y", graph.add_node(ir::Op::Identity, {w}, {"y"})->output());
  EXPECT_TRUE(ir::infer_types(graph).ok());
  return sample;
}

TEST_F(Artifact, PackedConstantsComeBackInTheGraphsOrder) {
  for (const char* kernel :
       {"conv_int8_plain", "conv_int8_avx2", "conv_int8_avx2vnni", "conv_int8_avx512vnni", "conv_int8_amx"})
    for (const bool transposed : {false, true}) {
      const PackedSample sample = packed_sample(kernel, transposed);
      ASSERT_TRUE(write(path_, sample.package).ok());
      EXPECT_THAT(bytes(), HasSubstr("= packed 0"));
      const auto back = read(path_);
      ASSERT_TRUE(back.ok()) << back.error().message();
      ASSERT_EQ(back->packed.size(), 1U);
      EXPECT_EQ(back->packed[0].transposed, transposed);
      const auto graph = back->portable();
      ASSERT_TRUE(graph.ok()) << graph.error().message();
      const Tensor& constant = graph->find_value("w")->constant();
      EXPECT_EQ(constant.identity(), back->packed[0].constant.identity());
      EXPECT_TRUE(constant.same_bits(sample.weights)) << kernel;
    }
}

TEST_F(Artifact, PackingNobodyReadsIsLeftOut) {
  PackedSample sample = packed_sample("conv_int8_plain", false);
  sample.package.packed[0].constant = sample.weights.clone();
  ASSERT_TRUE(write(path_, sample.package).ok());
  const auto back = read(path_);
  ASSERT_TRUE(back.ok()) << back.error().message();
  EXPECT_TRUE(back->packed.empty());
  EXPECT_TRUE(portable()->find_value("w")->constant().same_bits(sample.weights));
}

TEST_F(Artifact, TheEnginesGraphSharesConstants) {
  for (const bool transposed : {false, true}) {
    PackedSample sample = packed_sample("conv_int8_plain", transposed);
    sample.package.engine = EngineGraph{{{"x", {1, 3}}, {"s", {}}},
                                        [&]() -> Result<ir::Graph> {
                                          ir::Graph graph = sample.package.graph.clone();
                                          graph.name = "engines";
                                          return graph;
                                        },
                                        10};
    ASSERT_TRUE(write(path_, sample.package).ok());
    const auto back = read(path_);
    ASSERT_TRUE(back.ok()) << back.error().message();
    ASSERT_TRUE(back->engine.has_value());
    EXPECT_EQ(back->engine->shapes, sample.package.engine->shapes);
    const auto graph = back->engine->load();
    ASSERT_TRUE(graph.ok()) << graph.error().message();
    EXPECT_EQ(graph->name, "engines");
    EXPECT_EQ(graph->find_value("w")->constant().identity(), back->packed[0].constant.identity());
    EXPECT_TRUE(graph->find_value("w")->constant().same_bits(sample.weights));
  }
}

TEST_F(Artifact, AnEnginesGraphThatIsLargeIsLeftOut) {
  Package package = sample();
  const auto load = [&]() -> Result<ir::Graph> { return package.graph.clone(); };
  for (const double share : {10.0, 0.01}) {
    package.engine = EngineGraph{{}, load, share};
    ASSERT_TRUE(write(path_, package).ok());
    const auto back = read(path_);
    ASSERT_TRUE(back.ok()) << back.error().message();
    EXPECT_EQ(back->engine.has_value(), share > 1);
  }
  const std::string without = bytes();
  package.engine.reset();
  ASSERT_TRUE(write(path_, package).ok());
  EXPECT_EQ(bytes(), without);
}

TEST_F(Artifact, AnEnginesGraphThatIsNone) {
  const std::string graph = "graph g(%x: f32[2]) {\n  return %x as \"x\"\n}\n";
  for (const char* engine :
       {"this is no graph", "graph g() {\n  @w: s8[200] = packed 0\n  return @w as \"w\"\n}\n"}) {
    ASSERT_TRUE(
        write_file(path_, file_of(graph, {{"engine", {{"shapes", {{"x", {1, "a"}}}}}}}, {}, engine)).ok());
    const auto back = read(path_);
    ASSERT_TRUE(back.ok()) << back.error().message();
    const auto loaded = back->engine->load();
    ASSERT_FALSE(loaded.ok());
    EXPECT_EQ(loaded.error().code, Code::invalid_model);
  }
  expect_rejected(file_of(graph, {{"engine", {{"offset", 3}}}}), "section 'engine'");
  expect_rejected(file_of(graph, {{"engine", 3}}), "section 'engine'");
}

TEST_F(Artifact, PackedConstantsThatCannotBe) {
  const std::string blob(8192, '\0');
  const std::string graph = "graph g() {\n  @w: s8[17,8,3,3] = packed 0\n  return @w as \"w\"\n}\n";
  const Json good = {
      {"kernel", "conv_int8_avx2"}, {"dtype", "s8"}, {"dims", {17, 8, 3, 3, 1, 1, 1}}, {"parts", {0, 4096}}};
  const auto with = [&](const char* key, const Json& value) {
    Json changed = good;
    changed[key] = value;
    return file_of(graph, {{"packed", Json::array({changed})}}, blob);
  };
  ASSERT_TRUE(write_file(path_, with("kernel", "conv_int8_avx2")).ok());
  EXPECT_TRUE(portable().ok());
  expect_rejected(with("kernel", "conv_of_nobody"), "conv_of_nobody");
  expect_rejected(with("kernel", "conv_f16_amx"), "conv_f16_amx");
  expect_rejected(with("kernel", 7), "packed weights of a kernel");
  expect_rejected(with("dtype", "f32"), "dimensions");
  expect_rejected(with("dims", {17, 8, 3, 3, 1, 1}), "dimensions");
  expect_rejected(with("dims", {17, 8, 3, 3, 0, 1, 1}), "dimensions");
  expect_rejected(with("dims", {17, 8, 3, 3, 3, 1, 1}), "dimensions");
  expect_rejected(with("dims", {1, int64_t{1} << 62, 3, 3, 1, 1, 1}), "dimensions");
  expect_rejected(with("dims", {1 << 20, 8, 3, 3, 1, 1, 1}), "within a blob");
  expect_rejected(with("dims", {17, 8, 3, 1, 1, 1, 1}), "a packed constant s8[17,8,3,3]");
  expect_rejected(with("transposed", true), "dimensions");
  expect_rejected(with("parts", {0}), "2 parts");
  expect_rejected(with("parts", {32, 4096}), "multiple of 64");
  expect_rejected(with("parts", {0, 8192}), "inside the blob");
  expect_rejected(with("parts", {-64, 4096}), "inside the blob");
  expect_rejected(with("parts", "no"), "2 parts");
  expect_rejected(file_of(graph, {{"packed", 3}}, blob), "packed 0");
  expect_rejected(file_of(graph, {{"packed", Json::array({3})}}, blob), "packed weights of a kernel");
}

TEST_F(Artifact, AHeaderThatTellsOfAnotherModel) {
  const std::string graph = "graph g(%x: f32[N,2]) {\n  return %x as \"y\"\n}\n";
  const auto port = [](const Json& name, const Json& type) {
    return Json::array({{{"name", name}, {"type", type}}});
  };
  ASSERT_TRUE(write_file(path_, file_of(graph)).ok());
  EXPECT_TRUE(portable().ok());
  for (const Json& list : {Json(3), Json::array({3}), port(3, "f32[N,2]"), port("x", 3), port("x", "f32[N,2"),
                           port("x", "f32[N,2] f32")}) {
    expect_rejected(file_of(graph, {{"inputs", list}}), "a list 'inputs'");
    expect_rejected(file_of(graph, {{"outputs", list}}), "a list 'outputs'");
  }
  expect_rejected(pack("", graph, Json::object()), "a list 'inputs'");
  for (const Json& list : {Json(Json::array()), port("z", "f32[N,2]"), port("x", "f32[M,2]")}) {
    expect_rejected(file_of(graph, {{"inputs", list}}), "inputs and outputs its header names");
    expect_rejected(file_of(graph, {{"outputs", list}}), "inputs and outputs its header names");
  }
}

/// Symbols that are no plain words come back too.
TEST_F(Artifact, TheInterfaceIsReadWithoutTheGraph) {
  Package package;
  ir::TensorType type = ir::TensorType::of(DType::f32, {1, 2});
  type.dims[0] = ir::Dim(std::string("a batch, \"of\" 3?"));
  ir::Value* x = package.graph.add_input("x y", type);
  package.graph.add_output("z", x);
  ir::Value* free = package.graph.add_input("free", ir::TensorType::unranked(DType::s64));
  package.graph.add_output("w", free);
  ASSERT_TRUE(write(path_, package).ok());
  const auto back = read(path_);
  ASSERT_TRUE(back.ok()) << back.error().message();
  EXPECT_EQ(back->interface, ir::interface_of(package.graph));
  EXPECT_EQ(back->interface.inputs[0].type, type);
}

TEST_F(Artifact, MissingFile) {
  EXPECT_FALSE(is_artifact(path_));
  const auto package = read(path_);
  ASSERT_FALSE(package.ok());
  EXPECT_EQ(package.error().code, Code::not_found);
}

}  // namespace
}  // namespace narrow::artifact
