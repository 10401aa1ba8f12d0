// Constants without their zeros: back bit for bit, as small as promised, refused when damaged; and the
// ledger.
#include "artifact/sparse.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <numeric>

#include "artifact/artifact.h"
#include "artifact/container.h"
#include "artifact/ledger.h"
#include "base/file.h"
#include "base/json_text.h"
#include "base/random.h"
#include "ir/schema.h"
#include "tensor/packing.h"

namespace narrow::artifact {
namespace {

using testing::HasSubstr;

/// Small numbers, every one of them in the type's range, with zeros where `there` says so.
template <class Present>
Tensor numbers(DType dtype, const Shape& shape, uint64_t seed, Present there) {
  Random random(seed);
  std::vector<float> values(static_cast<size_t>(elements_of(shape)));
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = there(static_cast<int64_t>(i)) ? static_cast<float>(random.uniform(1, 1.99)) : 0.0F;
  return cast(Tensor::of(shape, values), dtype);
}

Tensor through_file(const Tensor& tensor, const SparseFill* fill, int64_t* bytes = nullptr) {
  const auto sparse = make_sparse(tensor, fill);
  EXPECT_TRUE(sparse.has_value());
  if (!sparse) return tensor;
  if (bytes != nullptr) *bytes = sparse->bytes();
  ir::Blob blob;
  const Json json = append_sparse(*sparse, fill, blob);
  EXPECT_TRUE(is_sparse(json));
  const auto header = parse_json(json_text(json), "a test");  // as a file has it
  const auto back = read_sparse(*header, std::as_bytes(std::span(blob.bytes)), "a test");
  EXPECT_TRUE(back.ok()) << back.error().message();
  return back.ok() ? *back : Tensor();
}

TEST(Sparse, EveryTypeComesBackBitForBit) {
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16, DType::s32, DType::s8, DType::u8, DType::s4,
                            DType::u4, DType::s2, DType::u2}) {
    ASSERT_TRUE(can_be_sparse(dtype));
    Random random(3);
    const Tensor tensor =
        numbers(dtype, {7, 11, 3, 3}, 4, [&](int64_t) { return random.uniform(0, 1) < 0.15; });
    int64_t bytes = 0;
    EXPECT_TRUE(through_file(tensor, nullptr, &bytes).same_bits(tensor)) << to_string(dtype);
    EXPECT_LT(bytes, stored_bytes(dtype, tensor.elements()));
  }
  for (const DType dtype : {DType::boolean, DType::s64, DType::f64}) EXPECT_FALSE(can_be_sparse(dtype));
}

/// Values of one magnitude hold a sign: -0.0 is no zero.
TEST(Sparse, NegativeZeroStays) {
  Tensor tensor = Tensor::zeros(DType::f32, {1024});
  tensor.mutable_data<float>()[5] = -0.0F;
  EXPECT_TRUE(through_file(tensor, nullptr).same_bits(tensor));
}

TEST(Sparse, WhatSavesTooLittleStaysDense) {
  for (const int share : {80, 95}) {  // percent that is there: of 8 bits 20% pay for the mask and 7.5% more
    int64_t at = 0;
    const Tensor tensor = numbers(DType::s8, {64, 64}, 5, [&](int64_t) { return at++ * 37 % 100 < share; });
    EXPECT_FALSE(make_sparse(tensor, nullptr).has_value()) << share;
  }
}

/// Blocks along any axis, two of four along any: the mask is that of blocks, or three bits for four.
TEST(Sparse, FindsTheFormOfTheZeros) {
  const Shape shape = {32, 16, 9};
  const auto at = [&](int64_t i, int64_t axis) {
    return axis == 0 ? i / 144 : axis == 1 ? i / 9 % 16 : i % 9;
  };
  for (const int64_t axis : {int64_t{0}, int64_t{1}}) {
    const auto other = [&](int64_t i) { return at(i, 0) + at(i, 1) + at(i, 2) - at(i, axis); };
    const auto in_block = [&](int64_t i) { return (at(i, axis) / 8 + other(i) * other(i)) % 3 == 0; };
    const Tensor blocks = numbers(DType::s8, shape, 6, in_block);
    int64_t bytes = 0, there = 0;
    for (int64_t i = 0; i < 4608; ++i) there += in_block(i) ? 1 : 0;
    EXPECT_TRUE(through_file(blocks, nullptr, &bytes).same_bits(blocks));
    EXPECT_EQ(bytes, 4608 / 8 / 8 + there);
    EXPECT_EQ(make_sparse(blocks, nullptr)->form.axis, axis);
    EXPECT_EQ(make_sparse(blocks, nullptr)->form.run, 8);
    const Tensor pairs = numbers(DType::s8, shape, 7, [&](int64_t i) {
      const int64_t four = at(i, axis) / 4 + 3 * other(i), in_four = at(i, axis) % 4;
      return in_four == four % 4 || in_four == (four + 1 + four / 4 % 3) % 4;
    });
    EXPECT_TRUE(through_file(pairs, nullptr, &bytes).same_bits(pairs));
    EXPECT_EQ(bytes, 4608 / 4 * 3 / 8 + 4608 / 2);
    EXPECT_TRUE(make_sparse(pairs, nullptr)->form.two_of_four);
  }
}

/// Codes whose zero is the zero point of their group, of an axis with a tail.
TEST(Sparse, ZeroPointsSayWhatZeroIs) {
  const Shape shape = {8, 20, 9}, groups = {8, 3, 9};
  Tensor zero = Tensor::allocate(DType::u4, groups), codes = Tensor::allocate(DType::u4, shape);
  auto* z = static_cast<uint8_t*>(zero.mutable_raw());
  auto* c = static_cast<uint8_t*>(codes.mutable_raw());
  Random random(8);
  for (int64_t i = 0; i < zero.elements(); ++i) z[i] = static_cast<uint8_t>(random.uniform(3, 12));
  for (int64_t i = 0; i < codes.elements(); ++i) {
    const int64_t group = (i / 180 * 3 + i / 9 % 20 / 8) * 9 + i % 9;
    c[i] = random.uniform(0, 1) < 0.7 ? z[group] : static_cast<uint8_t>(random.uniform(0, 15.9));
  }
  const SparseFill fill{zero, 1, 8};
  EXPECT_TRUE(through_file(codes, &fill).same_bits(codes));
  EXPECT_FALSE(make_sparse(codes, nullptr).has_value());  // few of the codes are 0
}

/// x * dequantize(w) with three quarters of the weights zero, in groups with zero points.
ir::Graph pruned_graph() {
  ir::Graph graph;
  graph.name = "pruned";
  Random random(9);
  Tensor zero = Tensor::allocate(DType::u4, {4, 64}), codes = Tensor::allocate(DType::u4, {64, 64});
  auto* z = static_cast<uint8_t*>(zero.mutable_raw());
  auto* c = static_cast<uint8_t*>(codes.mutable_raw());
  for (int64_t i = 0; i < 256; ++i) z[i] = static_cast<uint8_t>(random.uniform(3, 12));
  for (int64_t i = 0; i < 4096; ++i)
    c[i] = random.uniform(0, 1) < 0.25 ? static_cast<uint8_t>(random.uniform(0, 15.9))
                                       : z[i / 1024 * 64 + i % 64];
  std::vector<float> scale(256), bias(100);
  for (float& s : scale) s = static_cast<float>(random.uniform(0.1, 1));
  std::iota(bias.begin(), bias.end(), 1.0F);
  ir::Value* x = graph.add_input("x", ir::TensorType::of(DType::f32, {1, 64}));
  ir::Value* real =
      graph
          .add_node(ir::Op::DequantizeLinear,
                    {graph.add_constant("w", codes), graph.add_constant("s", Tensor::of(Shape{4, 64}, scale)),
                     graph.add_constant("z", zero)},
                    {"real"}, {{"axis", int64_t{0}}, {"block_size", int64_t{16}}})
          ->output();
  ir::Value* y = graph.add_node(ir::Op::MatMul, {x, real}, {"y"}, {}, "product")->output();
  graph.add_output("y", y);
  graph.add_output(
      "b",
      graph.add_node(ir::Op::Identity, {graph.add_constant("b", Tensor::of(Shape{100}, bias))}, {"copy"})
          ->output());
  EXPECT_TRUE(ir::infer_types(graph).ok());
  return graph;
}

class SparseFile : public testing::Test {
 protected:
  std::filesystem::path path_ =
      std::filesystem::path(testing::TempDir()) / ("narrow_sparse_" + std::to_string(::getpid()) + ".narrow");
  void TearDown() override { std::filesystem::remove(path_); }
};

TEST_F(SparseFile, GraphsShareWhatIsPutTogether) {
  Package package;
  package.graph = pruned_graph();
  package.engine =
      EngineGraph{{{"x", {1, 64}}}, [&]() -> Result<ir::Graph> { return package.graph.clone(); }, 10};
  ASSERT_TRUE(write(path_, package).ok());
  const auto back = read(path_);
  ASSERT_TRUE(back.ok()) << back.error().message();
  EXPECT_TRUE(back->packed.empty());
  const auto graph = back->portable();
  ASSERT_TRUE(graph.ok()) << graph.error().message();
  for (const char* name : {"w", "s", "z"})
    EXPECT_TRUE(graph->find_value(name)->constant().same_bits(package.graph.find_value(name)->constant()))
        << name;
  const auto engine = back->engine->load();
  ASSERT_TRUE(engine.ok()) << engine.error().message();
  EXPECT_EQ(engine->find_value("w")->constant().identity(), graph->find_value("w")->constant().identity());
}

TEST_F(SparseFile, TheLedgerSumsToTheFile) {
  Package package;
  package.graph = pruned_graph();
  ASSERT_TRUE(write(path_, package).ok());
  const auto ledger = read_ledger(path_);
  ASSERT_TRUE(ledger.ok()) << ledger.error().message();
  EXPECT_EQ(ledger->file, static_cast<int64_t>(std::filesystem::file_size(path_)));
  int64_t sum = 0;
  for (const auto& [kind, bytes] : ledger->kinds) {
    EXPECT_GE(bytes, 0) << to_string(kind);
    sum += bytes;
  }
  EXPECT_EQ(sum, ledger->file);
  const std::map<Bytes, int64_t>& kinds = ledger->kinds;
  const auto *c = static_cast<const uint8_t*>(package.graph.find_value("w")->constant().raw()),
             *z = static_cast<const uint8_t*>(package.graph.find_value("z")->constant().raw());
  int64_t there = 0;
  for (int64_t i = 0; i < 4096; ++i) there += c[i] != z[i / 1024 * 64 + i % 64] ? 1 : 0;
  EXPECT_EQ(kinds.at(Bytes::codes), (there + 1) / 2);
  EXPECT_EQ(kinds.at(Bytes::places), 4096 / 8);
  EXPECT_EQ(kinds.at(Bytes::scales), 256 * 4);
  EXPECT_EQ(kinds.at(Bytes::zero_points), 256 / 2);
  EXPECT_EQ(kinds.at(Bytes::others), 400);
  ASSERT_FALSE(ledger->layers.empty());
  EXPECT_EQ(ledger->layers.front().name, "product");
  EXPECT_EQ(ledger->layers.front().total, kinds.at(Bytes::codes) + kinds.at(Bytes::places) +
                                              kinds.at(Bytes::scales) + kinds.at(Bytes::zero_points));
}

TEST_F(SparseFile, DamageIsRefused) {
  const std::string graph = "graph g() {\n  @w: s8[16,256] = packed 0\n  return @w as \"w\"\n}\n";
  std::string blob(4096 / 8, '\x11');  // a quarter of 4096 is there
  blob += std::string(4096 / 4, '\7');
  const Json good = {{"sparse", "mask"}, {"dtype", "s8"}, {"shape", {16, 256}}, {"bits", 8},
                     {"axis", 1},        {"run", 1},      {"mask", 0},          {"kept", 512}};
  const auto attempt = [&](const Json& json, std::string_view bytes) -> Result<ir::Graph> {
    const Json header = {{"packed", Json::array({json})},
                         {"inputs", Json::array()},
                         {"outputs", Json::array({{{"name", "w"}, {"type", "s8[16,256]"}}})}};
    EXPECT_TRUE(write_file(path_, pack(bytes, graph, header)).ok());
    NARROW_TRY(const Opened opened, read(path_));
    return opened.portable();
  };
  const auto whole = attempt(good, blob);
  ASSERT_TRUE(whole.ok()) << whole.error().message();
  const auto values = whole->find_value("w")->constant().data<int8_t>();
  for (size_t i = 0; i < values.size(); ++i) ASSERT_EQ(values[i], i % 4 == 0 ? 7 : 0) << i;
  const auto expect_refused = [&](const char* key, const Json& value, const char* part) {
    Json changed = good;
    changed[key] = value;
    const auto package = attempt(changed, blob);
    ASSERT_FALSE(package.ok()) << key;
    EXPECT_EQ(package.error().code, Code::invalid_model);
    EXPECT_THAT(package.error().message(), HasSubstr(part)) << key;
  };
  expect_refused("sparse", "some", "'mask' or 'two of four'");
  expect_refused("sparse", "two of four", "2048 bytes of 'kept'");
  expect_refused("dtype", "f64", "a type of sparse constants");
  expect_refused("dtype", 3, "a type of sparse constants");
  expect_refused("dtype", "u8", "another");
  expect_refused("shape", {16, 255}, "another");
  expect_refused("shape", {int64_t{1} << 40, int64_t{1} << 40}, "63 bits");
  expect_refused("shape", {1 << 20, 1 << 10}, "within a blob");
  expect_refused("shape", "no", "an axis of []");
  expect_refused("bits", 4, "bits of an element");
  expect_refused("bits", 0, "bits of an element");
  expect_refused("axis", 2, "an axis of");
  expect_refused("axis", -1, "an axis of");
  expect_refused("run", 0, "runs of");
  expect_refused("run", 65, "runs of");
  expect_refused("mask", 32, "'mask' at a multiple of 64");
  expect_refused("mask", 1536, "inside the blob");
  expect_refused("kept", 576, "'kept'");
  expect_refused("kept", -64, "'kept'");
  expect_refused("fill", 3, "zero points");
  expect_refused("fill", {{"offset", 0}, {"shape", {3}}, {"bits", 8}, {"axis", 0}, {"block", 0}},
                 "zero points of");
  expect_refused("fill", {{"offset", 0}, {"shape", {16}}, {"bits", 8}, {"axis", 7}, {"block", 0}},
                 "zero points of");
  expect_refused("fill", {{"offset", 1536}, {"shape", {16}}, {"bits", 8}, {"axis", 0}, {"block", 0}},
                 "'offset'");
  Json pairs = good;  // seven is the number of none
  pairs["sparse"] = "two of four", pairs["mask"] = 512;
  const auto seven = attempt(pairs, blob);
  ASSERT_FALSE(seven.ok());
  EXPECT_THAT(seven.error().message(), HasSubstr("numbers of pairs"));
  const auto more = attempt(good, std::string(512, '\x33') + std::string(1024, '\7'));
  ASSERT_FALSE(more.ok());  // more is there than was kept
  EXPECT_THAT(more.error().message(), HasSubstr("2048 bytes of 'kept'"));
}

}  // namespace
}  // namespace narrow::artifact
