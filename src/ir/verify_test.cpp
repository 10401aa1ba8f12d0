#include <gtest/gtest.h>

#include "ir/schema.h"
#include "ir/text.h"

namespace narrow::ir {
namespace {

/// The message of verify() on the graph of that text, inferred first when asked; empty: it verifies.
std::string verified(const std::string& text, bool infer = false) {
  auto graph = parse(text);
  if (!graph.ok()) return "text: " + graph.error().message();
  if (infer) {
    if (const Status status = infer_types(*graph); !status.ok()) return status.error().message();
  }
  const Status status = verify(*graph);
  return status.ok() ? "" : status.error().message();
}

TEST(Verify, AcceptsWhatInferenceMakes) {
  EXPECT_EQ(verified(R"(graph (%x: f32[N,3,8,8]) {
    @w: f32[2,3,1,1] = [1,2,3,4,5,6]
    %c = Conv(%x, @w)
    %a, %b = Split(%c) {axis=1}
    %y = Add(%a, %b)
    return %y as "y", %x as "x" })",
                     true),
            "");
}

TEST(Verify, TypesMayBeFinerThanInferenceNeverDifferent) {
  const auto relu = [](const char* in, const char* out) {
    return verified(std::string("graph (%x: ") + in + ") { %y: " + out + " = Relu(%x) return %y as \"y\" }");
  };
  EXPECT_EQ(relu("f32[N,?]", "f32[N,7]"), "");
  EXPECT_EQ(relu("f32[N]", "f32[3]"), "");
  EXPECT_EQ(relu("f32", "f32[3]"), "");
  for (const auto& [in, out] : {std::pair{"f32[3]", "f32[4]"},
                                {"f32[3]", "f32[N]"},
                                {"f32[N]", "f32[M]"},
                                {"f32[3]", "f32"},
                                {"f32[3]", "f32[3,1]"},
                                {"f32[3]", "f16[3]"}})
    EXPECT_NE(relu(in, out).find("output 0 of type"), std::string::npos) << in << " " << out;
}

TEST(Verify, ChecksQuantizations) {
  const auto input = [](const char* type) {
    return verified(std::string("graph (%x: ") + type + ") { return %x as \"x\" }");
  };
  EXPECT_EQ(input("u8[3]<0.5,255>"), "");
  EXPECT_EQ(input("s8[3,2]<1;1,2;0,-128>"), "");
  EXPECT_NE(input("f32[3]<0.5,0>").find("integers"), std::string::npos);
  EXPECT_NE(input("u8[3]<0,0>").find("scales > 0"), std::string::npos);
  EXPECT_NE(input("u8[3]<-1,0>").find("scales > 0"), std::string::npos);
  EXPECT_NE(input("u8[3]<inf,0>").find("finite"), std::string::npos);
  EXPECT_NE(input("u8[3]<nan,0>").find("finite"), std::string::npos);
  EXPECT_NE(input("u8[3]<1,256>").find("zero point"), std::string::npos);
  EXPECT_NE(input("u8[3]<0;1,1;0,0>").find("along axis 0"), std::string::npos);
  EXPECT_NE(input("u8[3]<1;1,1,1;0,0,0>").find("along axis 1"), std::string::npos);
}

TEST(Verify, QuantizedValuesKeepTheirScaleWhereBytesAreCopied) {
  const auto body = [](const char* node) {
    return verified(std::string("graph (%x: u8[4]<0.5,3>) { ") + node + " return %y as \"y\" }");
  };
  EXPECT_EQ(body("%y: u8[4]<0.5,3> = Transpose(%x)"), "");
  EXPECT_NE(body("%y: u8[4]<0.25,3> = Transpose(%x)").find("like the input"), std::string::npos);
  EXPECT_NE(body("%y: u8[4] = Transpose(%x)").find("like the input"), std::string::npos);
  EXPECT_EQ(body("%y: u8[4]<0.25,3> = Identity(%x)"), "");  // requantizes
  EXPECT_EQ(body("%y: u8[4]<0.25,3> = Relu(%x)"), "");
  EXPECT_NE(body("%y: u8[4] = Relu(%x)").find("output 0 quantized"), std::string::npos);
}

TEST(Verify, FindsWhatPassesMayBreak) {
  const auto broken = [](auto&& damage) {
    auto graph =
        parse("graph (%x: f32[2]) { %a: f32[2] = Relu(%x) %b: f32[2] = Exp(%a) return %b as \"y\" }");
    EXPECT_TRUE(graph.ok() && verify(*graph).ok());
    damage(*graph);
    const Status status = verify(*graph);
    return status.ok() ? std::string() : status.error().message();
  };
  EXPECT_NE(broken([](Graph& g) { g.set_input(g.nodes()[0], 0, g.find_value("b")); }).find("earlier nodes"),
            std::string::npos);
  EXPECT_NE(
      broken([](Graph& g) { g.set_input(g.nodes()[1], 1, g.find_value("x")); }).find("at most 1 inputs"),
      std::string::npos);
  EXPECT_NE(broken([](Graph& g) { g.find_value("a")->name = "b"; }).find("value 'b'"), std::string::npos);
  EXPECT_NE(broken([](Graph& g) { g.add_output("y", g.find_value("a")); }).find("output 'y'"),
            std::string::npos);
  EXPECT_NE(broken([](Graph& g) { g.find_value("x")->type.dtype = DType::undefined; }), "");
  Graph other;
  Value* foreign = other.add_input("foreign", TensorType::of(DType::f32, {2}));
  EXPECT_NE(broken([&](Graph& g) { g.set_input(g.nodes()[0], 0, foreign); }).find("'foreign'"),
            std::string::npos);
  EXPECT_NE(broken([&](Graph& g) { g.set_output(0, foreign); }).find("output 'y'"), std::string::npos);
}

TEST(Verify, ConstantsMatchTheirTypes) {
  Graph g;
  Value* w = g.add_constant("w", Tensor::scalar(1.0F));
  g.add_output("w", w);
  EXPECT_TRUE(verify(g).ok());
  w->type.dtype = DType::s32;
  EXPECT_FALSE(verify(g).ok());
}

}  // namespace
}  // namespace narrow::ir
