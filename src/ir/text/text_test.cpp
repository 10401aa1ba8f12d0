#include "ir/text.h"

#include <gtest/gtest.h>

#include <bit>
#include <limits>

#include "base/random.h"
#include "ir/schema.h"
#include "tensor/packing.h"

namespace narrow::ir {
namespace {

std::span<const std::byte> bytes_of_blob(const Blob& blob) {
  return {reinterpret_cast<const std::byte*>(blob.bytes.data()), blob.bytes.size()};
}

std::shared_ptr<AlignedBuffer> mapped(const Blob& blob) {
  auto memory = std::make_shared<AlignedBuffer>(static_cast<int64_t>(blob.bytes.size()));
  if (!blob.bytes.empty()) std::memcpy(memory->data(), blob.bytes.data(), blob.bytes.size());
  return memory;
}

/// print -> parse -> print; returns the graph that was read.
Graph round_trip(const Graph& graph) {
  Blob blob, again;
  const std::string text = print(graph, &blob);
  const auto memory = mapped(blob);
  auto read = parse(text, {memory->data(), blob.bytes.size()}, memory);
  EXPECT_TRUE(read.ok()) << text << (read.ok() ? "" : read.error().message());
  if (!read.ok()) return {};
  Graph copy = read->clone();
  EXPECT_EQ(print(copy, &again), text);
  EXPECT_EQ(again.bytes, blob.bytes);
  return copy;
}

constexpr const char* kSample = R"(graph mobilenet(%input: f32[N,3,?,"H+1"] origin "input") {
  meta "opset" = "21"
  meta "producer" = "a \"b\" \\ c\nd\x01"
  @w: s8[2,1,1,1]<0;0.5,0.25;0,-1> = [-128,127] origin "w" [1,0]
  @lo: f32[] = [-0]
  %y: u8[N,24,112,112]<0.0199999996,7> = Conv(%input, @w, -, @lo) {auto_pad="VALID", pads=[1,1]} "conv 1" origin "conv1/y" [0,2,3,1]
  %a:0: f32, %"odd name%": s64[] = TopK(%y, %input) origin -, "top"
  return %a:0 as "logits", @w as "w"
}
)";

TEST(Text, PrintsWhatItRead) {
  auto graph = parse(kSample);
  ASSERT_TRUE(graph.ok()) << graph.error().message();
  EXPECT_EQ(print(*graph), kSample);
  EXPECT_EQ(graph->name, "mobilenet");
  EXPECT_EQ(graph->metadata.at("producer"), "a \"b\" \\ c\nd\x01");
  const Value* y = graph->find_value("y");
  ASSERT_NE(y, nullptr);
  EXPECT_EQ(y->origin, "conv1/y");
  EXPECT_EQ(y->origin_perm, (std::vector<int64_t>{0, 2, 3, 1}));
  EXPECT_EQ(y->producer()->name, "conv 1");
  EXPECT_EQ(y->producer()->input(2), nullptr);
  EXPECT_EQ(y->producer()->inputs().size(), 4U);
  EXPECT_EQ(y->type.quant->scale, (std::vector<float>{0.02F}));
  EXPECT_EQ(graph->find_value("input")->type.dims[3], Dim("H+1"));
  EXPECT_NE(graph->find_value("odd name%"), nullptr);
}

TEST(Text, OddNamesSurvive) {
  const std::string names[] = {
      "a:0",        "b:",       "-",           "%",         "@x",
      "with space", "quote\"s", "back\\slash", "new\nline", std::string("nul\0byte", 8),
      "höhe",       "\xff\xfe", "#comment",    "return",    "origin",
      "1",          "1e5",      "...",         "<0,1>"};
  Graph graph;
  graph.name = "{odd} \"graph\"";
  std::vector<Value*> inputs;
  for (const std::string& name : names) {
    TensorType type = TensorType::of(DType::f32, {1});
    type.dims = {Dim(name)};
    Value* value = graph.add_input(name, type);
    value->origin = name;
    Node* node = graph.add_node(Op::Relu, {value}, {"y" + name}, {{name, name}}, name);
    graph.add_output(name, node->output());
    graph.metadata[name] = name;
  }
  const Graph copy = round_trip(graph);
  ASSERT_EQ(copy.inputs().size(), std::size(names));
  for (size_t i = 0; i < std::size(names); ++i) {
    EXPECT_EQ(copy.inputs()[i]->name, names[i]);
    EXPECT_EQ(copy.inputs()[i]->origin, names[i]);
    EXPECT_EQ(copy.inputs()[i]->type.dims[0], Dim(names[i]));
    EXPECT_EQ(copy.outputs()[i].name, names[i]);
    EXPECT_EQ(copy.nodes()[i]->string_attr(names[i], ""), names[i]);
    EXPECT_EQ(copy.metadata.at(names[i]), names[i]);
  }
}

TEST(Text, AttributesOfEveryKindSurvive) {
  Graph graph;
  auto inner = std::make_shared<Graph>();
  inner->name = "inner";
  inner->add_output("z", inner->add_input("z", TensorType::unranked(DType::boolean)));
  const float nan_payload = std::bit_cast<float>(0xffc00123U);
  const Attributes attrs = {{"int", int64_t{std::numeric_limits<int64_t>::min()}},
                            {"float", 1.0F},
                            {"tiny", std::numeric_limits<float>::denorm_min()},
                            {"inf", -std::numeric_limits<float>::infinity()},
                            {"nan", nan_payload},
                            {"negative_zero", -0.0F},
                            {"string", std::string("s")},
                            {"ints", std::vector<int64_t>{1, -2}},
                            {"no_ints", std::vector<int64_t>{}},
                            {"floats", std::vector<float>{1.0F, 1e30F, nan_payload}},
                            {"no_floats", std::vector<float>{}},
                            {"strings", std::vector<std::string>{"a", "", "]"}},
                            {"no_strings", std::vector<std::string>{}},
                            {"tensor", Tensor::of<int64_t>({2}, std::vector<int64_t>{1, 2})},
                            {"large", Tensor::zeros(DType::f32, {100})},
                            {"undefined", Tensor()},
                            {"graph", inner}};
  graph.add_node(Op::Constant, {}, {"c"}, attrs);
  const Graph copy = round_trip(graph);
  ASSERT_EQ(copy.nodes().size(), 1U);
  const Attributes& read = copy.nodes()[0]->attrs;
  ASSERT_EQ(read.size(), attrs.size());
  for (const auto& [name, value] : attrs) {
    SCOPED_TRACE(name);
    ASSERT_TRUE(read.contains(name));
    EXPECT_EQ(read.at(name).index(), value.index());
  }
  EXPECT_EQ(std::bit_cast<uint32_t>(std::get<float>(read.at("nan"))), 0xffc00123U);
  EXPECT_EQ(std::bit_cast<uint32_t>(std::get<float>(read.at("negative_zero"))), 0x80000000U);
  EXPECT_EQ(std::get<int64_t>(read.at("int")), std::numeric_limits<int64_t>::min());
  EXPECT_EQ(std::get<float>(read.at("tiny")), std::numeric_limits<float>::denorm_min());
  EXPECT_TRUE(std::get<Tensor>(read.at("tensor")).same_bits(std::get<Tensor>(attrs.at("tensor"))));
  EXPECT_EQ(std::get<std::shared_ptr<Graph>>(read.at("graph"))->inputs()[0]->name, "z");
}

/// Random bit patterns of a type (booleans: 0 and 1), inline and in the blob.
class TextConstants : public testing::TestWithParam<DType> {};
TEST_P(TextConstants, SurviveBitForBit) {
  Random random(7);
  for (const Shape& shape : {Shape{}, Shape{0, 3}, Shape{8, 8}, Shape{65}, Shape{3, 50}}) {
    Graph graph;
    Tensor tensor = Tensor::allocate(GetParam(), shape);
    auto* bytes = static_cast<unsigned char*>(tensor.mutable_raw());
    for (int64_t i = 0; i < tensor.bytes(); ++i)
      bytes[i] =
          static_cast<unsigned char>(GetParam() == DType::boolean ? random.next() % 2 : random.next() >> 32);
    graph.add_output("c", graph.add_constant("c", tensor));
    const Graph copy = round_trip(graph);
    ASSERT_EQ(copy.outputs().size(), 1U);
    EXPECT_TRUE(copy.outputs()[0].value->constant().same_bits(tensor)) << narrow::to_string(shape);
  }
}
INSTANTIATE_TEST_SUITE_P(All, TextConstants,
                         testing::Values(DType::f32, DType::f64, DType::f16, DType::bf16, DType::s8,
                                         DType::u8, DType::s16, DType::u16, DType::s32, DType::u32,
                                         DType::s64, DType::u64, DType::boolean),
                         [](const auto& i) { return std::string(narrow::to_string(i.param)); });

TEST(Text, EverySixteenBitPatternSurvives) {
  for (const DType type : {DType::f16, DType::bf16})
    for (uint32_t first = 0; first < 65536; first += 64) {
      Graph graph;
      Tensor tensor = Tensor::allocate(type, {64});
      for (uint32_t i = 0; i < 64; ++i) {
        const auto bits = static_cast<uint16_t>(first + i);
        std::memcpy(static_cast<std::byte*>(tensor.mutable_raw()) + 2 * i, &bits, 2);
      }
      graph.add_output("c", graph.add_constant("c", tensor));
      const auto read = parse(print(graph));
      ASSERT_TRUE(read.ok());
      ASSERT_TRUE(read->outputs()[0].value->constant().same_bits(tensor)) << first;
    }
}

/// Every code of every narrow type, inline and packed in the blob.
TEST(Text, NarrowTypesSurviveBitForBit) {
  for (const DType type :
       {DType::f8e4m3fn, DType::f8e4m3fnuz, DType::f8e5m2, DType::f8e5m2fnuz, DType::f8e8m0, DType::f6e2m3,
        DType::f6e3m2, DType::f4e2m1, DType::s4, DType::u4, DType::s2, DType::u2})
    for (const int64_t count : {int64_t{3}, int64_t{64}, int64_t{256}}) {
      std::string codes;
      for (int64_t i = 0; i < count; ++i) codes.push_back(static_cast<char>(i * 7));
      Graph graph;
      const Tensor tensor = unpack(type, {count}, codes.data());
      graph.add_output("c", graph.add_constant("c", tensor));
      const Graph copy = round_trip(graph);
      ASSERT_EQ(copy.outputs().size(), 1U);
      EXPECT_TRUE(copy.outputs()[0].value->constant().same_bits(tensor)) << narrow::to_string(type) << count;
    }
  Blob blob;
  Graph graph;
  Tensor codes = Tensor::zeros(DType::s4, {129});
  static_cast<int8_t*>(codes.mutable_raw())[128] = -8;  // needs all 4 bits
  graph.add_output("c", graph.add_constant("c", codes));
  EXPECT_NE(print(graph, &blob).find("blob 0 65\n"), std::string::npos);
}

TEST(Text, FewBitsTakeFewBytes) {
  Graph graph;
  std::vector<int64_t> codes;
  for (int64_t i = 0; i < 800; ++i) codes.push_back(i * i % 8);
  Value* w = graph.add_constant("w", cast(Tensor::of(Shape{800}, codes), DType::u4));
  graph.add_output("w", w);
  Blob blob;
  const std::string text = print(graph, &blob);
  EXPECT_EQ(blob.bytes.size(), 300U);  // 3 bits each
  EXPECT_NE(text.find("blob 0 300 bits 3"), std::string::npos) << text;
  const Graph copy = round_trip(graph);
  EXPECT_EQ(to_ints(copy.find_value("w")->constant()), codes);
  for (const char* wrong :
       {"blob 0 300 bits 4", "blob 0 300 bits 0", "blob 0 300 bits 2", "blob 0 301 bits 3"}) {
    std::string changed = text;
    changed.replace(changed.find("blob 0 300 bits 3"), 17, wrong);
    EXPECT_FALSE(parse(changed, bytes_of_blob(blob)).ok()) << wrong;
  }
}

TEST(Text, LargeConstantsBorrowFromTheBlob) {
  Graph graph;
  graph.add_output("a", graph.add_constant("a", Tensor::zeros(DType::u8, {65})));
  graph.add_output("b", graph.add_constant("b", Tensor::zeros(DType::f32, {65})));
  EXPECT_NE(print(graph).find("= hash "), std::string::npos);
  EXPECT_FALSE(parse(print(graph)).ok());
  Blob blob;
  const std::string text = print(graph, &blob);
  EXPECT_NE(text.find("blob 0 65\n"), std::string::npos);
  EXPECT_NE(text.find("blob 128 260\n"), std::string::npos);
  auto owner = mapped(blob);
  const std::byte* data = owner->data();
  const auto read = parse(text, {data, blob.bytes.size()}, owner);
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read->find_value("b")->constant().raw(), data + 128);
  EXPECT_EQ(owner.use_count(), 3);
}

/// More than 64 scales without zero points go into the blob; with them they stay in the text.
TEST(Text, ManyScalesGoIntoTheBlob) {
  for (const int32_t zero : {0, 3}) {
    auto q = std::make_shared<Quantization>();
    q->axis = 1;
    for (int i = 0; i < 65; ++i)
      q->scale.push_back(0.1F + static_cast<float>(i) / 3), q->zero_point.push_back(0);
    q->zero_point.back() = zero;
    Graph graph;
    Value* w = graph.add_constant("w", Tensor::zeros(DType::s8, {1, 65}));
    w->type.quant = q;
    graph.add_output("w", w);
    Blob blob;
    EXPECT_EQ(print(graph, &blob).find("<1;blob 0 65>") != std::string::npos, zero == 0);
    const Graph back = round_trip(graph);
    EXPECT_EQ(*back.find_value("w")->type.quant, *q);
  }
}

/// What two graphs share stands in the blob once.
TEST(Text, TwoGraphsShareABlob) {
  Graph graph;
  graph.add_output("a", graph.add_constant("a", Tensor::zeros(DType::f32, {65})));
  Blob blob;
  const std::string first = print(graph, &blob);
  const size_t bytes = blob.bytes.size();
  EXPECT_EQ(print(graph.clone(), &blob), first);
  EXPECT_EQ(blob.bytes.size(), bytes);
}

TEST(Text, OutputsMayLackTypes) {
  auto graph = parse("graph (%x: f32[2]) { # comment\n %y = Relu(%x) # more\n return %y as \"y\" } # end");
  ASSERT_TRUE(graph.ok()) << graph.error().message();
  ASSERT_TRUE(infer_types(*graph).ok());
  EXPECT_EQ(to_string(graph->find_value("y")->type), "f32[2]");
}

struct Malformed {
  const char* text;
  const char* expected;
};
class TextErrors : public testing::TestWithParam<Malformed> {};
TEST_P(TextErrors, NameLineAndCause) {
  Blob blob;
  blob.bytes.assign(256, '\2');
  const auto graph = parse(GetParam().text, bytes_of_blob(blob));
  ASSERT_FALSE(graph.ok());
  EXPECT_EQ(graph.error().code, Code::invalid_model);
  EXPECT_NE(graph.error().message().find(GetParam().expected), std::string::npos) << graph.error().message();
}
INSTANTIATE_TEST_SUITE_P(
    Table, TextErrors,
    testing::Values(
        Malformed{"", "line 1: expected 'graph'"}, Malformed{"graph", "expected a name"},
        Malformed{"graph g(", "expected '%'"},
        Malformed{"graph g() {\n\n%y = Nop() return }", "line 3: expected an operator"},
        Malformed{"graph g() { return } x", "end of the text"},
        Malformed{"graph g(%x: f33) { return }", "element type"},
        Malformed{"graph g(%x: f32, %x: f32) { return }", "no other value"},
        Malformed{"graph g(%\"\": f32) { return }", "no other value"},
        Malformed{"graph g(%\"x: f32) { return }", "closing quote"},
        Malformed{"graph g(%\"\\q\": f32) { return }", "\\xHH"}, Malformed{"graph g(%\"\\x1", "hexadecimal"},
        Malformed{"graph g(%x: f32[-1]) { return }", "dimension >= 0"},
        Malformed{"graph g(%x: f32[99999999999999999999]) { return }", "an integer"},
        Malformed{"graph g(%x: u8<1;1,2;0>) { return }", "zero point per scale"},
        Malformed{"graph g(%x: u8<1,99999999999>) { return }", "32 bits"},
        Malformed{"graph g(%x: u8<x,0>) { return }", "a scale"},
        Malformed{"graph g(%x: s8<0;blob 0 65>) { return }", "inside the blob of 256"},
        Malformed{"graph g(%x: s8<0;blob 32 4>) { return }", "multiple of 64"},
        Malformed{"graph g(%x: s8<0;blob 0 -1>) { return }", "multiple of 64"},
        Malformed{"graph g(%x: s8<0;blob 0 4611686018427387904>) { return }", "multiple of 64"},
        Malformed{"graph g() { @c: u8[65] = packed 0 return }", "packed elsewhere"},
        Malformed{"graph g(%x: f32) { %x = Relu(%x) return }", "no other value"},
        Malformed{"graph g(%x: f32) { %y, %y = Split(%x) return }", "names of their own"},
        Malformed{"graph g() { %y = Relu(%y) return }", "stands above"},
        Malformed{"graph g(%x: f32) { %y = Relu(@x) return }", "a constant"},
        Malformed{"graph g(%x: f32) { %y = Relu(%x) {a=1, a=2} return }", "names of their own"},
        Malformed{"graph g(%x: f32) { %y = Relu(%x) {a=[1,2.0]} return }", "one kind"},
        Malformed{"graph g(%x: f32) { %y = Relu(%x) {a=1.5.5} return }", "a number"},
        Malformed{"graph g(%x: f32) { %y = Relu(%x) {a=99999999999999999999} return }", "a number"},
        Malformed{"graph g() { @c: f32[2] = [1] return }", "2 elements"},
        Malformed{"graph g() { @c: u8[1] = [256] return }", "1 elements"},
        Malformed{"graph g() { @c: bool[1] = [2] return }", "1 elements"},
        Malformed{"graph g() { @c: f32 = [1] return }", "known shape"},
        Malformed{"graph g() { @c: f32[N] = [1] return }", "known shape"},
        Malformed{"graph g() { @c: f32[4611686018427387904,2] = [1] return }", "63 bits"},
        Malformed{"graph g() { @c: f32[1000000000000] = [1] return }", "elements"},
        Malformed{"graph g() { @c: f32[65] = blob 0 260 return }", "inside the blob"},
        Malformed{"graph g() { @c: u8[65] = blob 1 65 return }", "multiple of 64"},
        Malformed{"graph g() { @c: u8[65] = blob 192 65 return }", "inside the blob"},
        Malformed{"graph g() { @c: u8[65] = blob -64 65 return }", "inside the blob"},
        Malformed{"graph g() { @c: u8[65] = blob 9223372036854775744 65 return }", "inside the blob"},
        Malformed{"graph g() { @c: u8[9223372036854775807] = blob 64 9223372036854775807 return }",
                  "inside the blob"},
        Malformed{"graph g() { @c: u8[65] = blob 0 64 return }", "65 bytes"},
        Malformed{"graph g() { @c: bool[65] = blob 0 65 return }", "booleans"},
        Malformed{"graph g() { @c: u8[65] = hash 123 return }", "only its hash"},
        Malformed{"graph g(%x: f32) { return - as \"y\" }", "to return"},
        Malformed{"graph g(%x: f32) { return %x }", "'as'"}));

TEST(Text, NestingAndRankAreLimited) {
  std::string nested = "graph g(";
  for (int i = 0; i < 100000; ++i) nested += ") { %y = Constant() {a=graph g(";
  EXPECT_FALSE(parse(nested).ok());
  std::string wide = "graph g(%x: f32[1";
  for (int i = 0; i < 1000; ++i) wide += ",1";
  EXPECT_FALSE(parse(wide + "]) { return }").ok());
}

/// Whatever is done to a good text, reading it ends in a graph or an error; a graph that is read can be
/// checked.
TEST(Text, DamagedTextNeverCrashes) {
  Random random(3);
  const std::string good = kSample;
  Blob blob;
  blob.bytes.assign(4096, '\1');
  const std::string pieces = "%@[]{}()<>,;:=-\"\\?#0123456789eNx. \n";
  for (int round = 0; round < 20000; ++round) {
    std::string text = good;
    for (uint64_t edits = 1 + random.next() % 4; edits > 0; --edits) {
      const size_t at = random.next() % text.size();
      const char piece = pieces[random.next() % pieces.size()];
      switch (random.next() % 4) {
        case 0:
          text[at] = piece;
          break;
        case 1:
          text.insert(at, 1, piece);
          break;
        case 2:
          text.erase(at, 1 + random.next() % 8);
          break;
        default:
          text.insert(at, text.substr(random.next() % text.size(), random.next() % 40));
          break;
      }
      if (text.empty()) text = "g";
    }
    auto graph = parse(text, bytes_of_blob(blob));
    if (!graph.ok()) continue;
    (void)verify(*graph).ok();
    (void)infer_types(*graph).ok();
    EXPECT_TRUE(parse(print(*graph, &blob), bytes_of_blob(blob)).ok()) << text;
    blob.bytes.resize(4096);
  }
}

}  // namespace
}  // namespace narrow::ir
