#include "tensorrt/rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ir/schema.h"
#include "ir/text.h"

namespace narrow::tensorrt {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

/// What TensorRT takes: s8 convolutions (plain, transposed, through Transpose), f8e4m3fn and s4 products.
constexpr std::string_view kClean = R"(graph (%x: f32[1,2,4,4]) {
  @xs: f32[] = [0.05]
  @xz: s8[] = [0]
  @w: s8[3,2,1,1] = [1,2,3,4,5,6]
  @ws: f32[3] = [0.1,0.2,0.3]
  @wz: s8[3] = [0,0,0]
  @b: f32[3] = [1,2,3]
  @t: s8[3,2,1,1] = [1,2,3,4,5,6]
  @ts: f32[2] = [0.1,0.2]
  @gw: f32[2,32] = blob 0 256
  @gs: f32[2] = [0.5,0.25]
  @gz: s8[2] = [0,0]
  @fs: f32[] = [0.5]
  @fz: f8e4m3fn[] = [0]
  @f: f8e4m3fn[2,32] = blob 256 64
  @n: s4[32,2] = [1,2,3,-4,1,2,3,-4,1,2,3,-4,1,2,3,-4,1,2,3,-4,1,2,3,-4,1,2,3,-4,1,2,3,-4,1,2,3,-4,1,2,3,-4,1,2,3,-4,1,2,3,-4,1,2,3,-4,1,2,3,-4,1,2,3,-4,1,2,3,-4]
  @ns: f32[2,2] = [1,2,3,4]
  %xq = QuantizeLinear(%x, @xs, @xz) "xq"
  %xd = DequantizeLinear(%xq, @xs, @xz) "xd"
  %wd = DequantizeLinear(@w, @ws, @wz) {axis=0} "wd"
  %c = Conv(%xd, %wd, @b) "conv"
  %cq = QuantizeLinear(%c, @xs, @xz) "cq"
  %cd = DequantizeLinear(%cq, @xs, @xz) "cd"
  %td = DequantizeLinear(@t, @ts) {axis=1} "td"
  %u = ConvTranspose(%cd, %td) "up"
  %r = Flatten(%u) "flat"
  %rq = QuantizeLinear(%r, @xs, @xz) "rq"
  %rd = DequantizeLinear(%rq, @xs, @xz) "rd"
  %gq = QuantizeLinear(@gw, @gs, @gz) {axis=0} "gq"
  %gd = DequantizeLinear(%gq, @gs, @gz) {axis=0} "gd"
  %gt = Transpose(%gd) {perm=[1,0]} "gt"
  %g = Gemm(%rd, %gd) {transB=1} "gemm"
  %m = MatMul(%rd, %gt) "matmul"
  %fq = QuantizeLinear(%r, @fs, @fz) "fq"
  %fd = DequantizeLinear(%fq, @fs, @fz) "fd"
  %fw = DequantizeLinear(@f, @fs, @fz) "fw"
  %h = Gemm(%fd, %fw) {transB=1} "fp8"
  %nd = DequantizeLinear(@n, @ns) {axis=0, block_size=16} "nd"
  %i = MatMul(%r, %nd) "int4"
  %s = Sum(%g, %m, %h, %i) "sum"
  return %s as "y"
})";

/// Large constants of kClean: 64 floats and 64 narrow floats, all 0.
const std::vector<std::byte> kBlob(256 + 64);

struct Change {
  std::string from, to;
};

std::vector<Violation> violations(const std::vector<Change>& changes, int64_t opset = kExportOpset) {
  std::string text(kClean);
  for (const auto& [from, to] : changes) {
    const size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    if (at != std::string::npos) text.replace(at, from.size(), to);
  }
  auto graph = ir::parse(text, kBlob);
  EXPECT_TRUE(graph.ok()) << graph.error().message();
  if (!graph.ok()) return {};
  const Status typed = ir::infer_types(*graph);
  EXPECT_TRUE(typed.ok()) << typed.error().message();
  return check_rules(*graph, opset);
}

/// "rule node" of every violation.
std::vector<std::string> broken(const std::vector<Change>& changes, int64_t opset = kExportOpset) {
  std::vector<std::string> rules;
  for (const Violation& v : violations(changes, opset)) {
    EXPECT_FALSE(v.expected.empty() || v.got.empty() || v.remedy.empty()) << v.message();
    rules.push_back(v.rule + " " + v.node.substr(v.node.find('\'')));
  }
  return rules;
}

TEST(TensorRtRules, ACleanGraphPasses) { EXPECT_THAT(broken({}), IsEmpty()); }

TEST(TensorRtRules, MessagesNameEverything) {
  const auto found = violations({{"@ws: f32[3] = [0.1,0.2,0.3]", "@ws: f32[3] = [0.1,0.2,0]"}});
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(
      found[0].message(),
      "DequantizeLinear 'wd': expected scales > 0 and finite, got 0 at 2 (give channels that hold only zeros "
      "a scale of 1)");
}

TEST(TensorRtRules, SignedInt8) {
  EXPECT_THAT(broken({{"@t: s8", "@t: u8"}}), ElementsAre("signed-int8 'td'"));
  EXPECT_THAT(broken({{"@xz: s8", "@xz: u8"}}),
              ElementsAre("signed-int8 'xq'", "signed-int8 'xd'", "signed-int8 'cq'", "signed-int8 'cd'",
                          "signed-int8 'rq'", "signed-int8 'rd'"));
}

TEST(TensorRtRules, Float8IsE4m3fn) {
  EXPECT_THAT(broken({{"@fz: f8e4m3fn", "@fz: f8e5m2"}, {"@f: f8e4m3fn", "@f: f8e5m2"}}),
              ElementsAre("float8 'fq'", "float8 'fd'", "float8 'fw'"));
}

TEST(TensorRtRules, OtherTypesAreNotQuantizedTypes) {
  EXPECT_THAT(broken({{"@t: s8", "@t: s16"}}), ElementsAre("type 'td'"));
  EXPECT_THAT(broken({{"@t: s8", "@t: u4"}}), ElementsAre("type 'td'"));
  EXPECT_THAT(broken({{"@t: s8", "@t: s32"}}), ElementsAre("type 'td'"));
}

TEST(TensorRtRules, Symmetric) {
  EXPECT_THAT(broken({{"@wz: s8[3] = [0,0,0]", "@wz: s8[3] = [0,-1,0]"}}), ElementsAre("symmetric 'wd'"));
  EXPECT_THAT(broken({{"(%x: f32[1,2,4,4])", "(%x: f32[1,2,4,4], %z: s8[3])"}, {"@ws, @wz", "@ws, %z"}}),
              ElementsAre("symmetric 'wd'"));
}

TEST(TensorRtRules, ScalesAreConstantPositiveAndFinite) {
  EXPECT_THAT(broken({{"(%x: f32[1,2,4,4])", "(%x: f32[1,2,4,4], %z: f32[3])"}, {"@ws, @wz", "%z, @wz"}}),
              ElementsAre("scale-constant 'wd'"));
  for (const char* bad : {"0", "-0.5", "inf", "nan"})
    EXPECT_THAT(broken({{"@ts: f32[2] = [0.1,", std::string("@ts: f32[2] = [") + bad + ","}}),
                ElementsAre("scale-value 'td'"))
        << bad;
}

TEST(TensorRtRules, ScalesHaveTheTypeOfTheFloatSide) {
  EXPECT_THAT(broken({{"@fs: f32[] = [0.5]", "@fs: f32[] = [0.5] @hs: f16[] = [0.5]"},
                      {"(%r, @fs, @fz)", "(%r, @hs, @fz)"}}),
              ElementsAre("scale-type 'fq'"));
  EXPECT_THAT(broken({{"@fs: f32[] = [0.5]", "@fs: f32[] = [0.5] @hs: f16[] = [0.5]"},
                      {"(%fq, @fs, @fz)", "(%fq, @hs, @fz) {output_dtype=1}"}}),
              ElementsAre("scale-type 'fd'"));
}

TEST(TensorRtRules, ActivationsHaveOneScale) {
  EXPECT_THAT(broken({{"@b: f32[3]", "@as: f32[2] = [1,2] @az: s8[2] = [0,0] @b: f32[3]"},
                      {"(%x, @xs, @xz)", "(%x, @as, @az) {axis=1}"},
                      {"(%xq, @xs, @xz)", "(%xq, @as, @az) {axis=1}"}}),
              ElementsAre("per-tensor 'xq'", "per-tensor 'xd'"));
}

TEST(TensorRtRules, WeightsAreScaledAlongTheResultChannel) {
  EXPECT_THAT(broken({{"@ws, @wz) {axis=0}", "@ts) {axis=1}"}}), ElementsAre("weight-axis 'wd'"));
  EXPECT_THAT(broken({{"@t, @ts) {axis=1}", "@t, @ws) {axis=-4}"}}), ElementsAre("weight-axis 'td'"));
  // The axis of the constant is the same for Gemm and, through Transpose, for MatMul: both complain.
  EXPECT_THAT(broken({{"{perm=[1,0]}", ""}, {"%g = Gemm(%rd, %gd) {transB=1}", "%g = Gemm(%rd, %gt)"}}),
              IsEmpty());
  EXPECT_THAT(broken({{"@gs: f32[2] = [0.5,0.25]",
                       "@gs: f32[32] = [1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,"
                       "1,1,1,1,1,1,1,1]"},
                      {"(@gw, @gs, @gz) {axis=0}", "(@gw, @gs) {axis=1, output_dtype=3}"},
                      {"(%gq, @gs, @gz) {axis=0}", "(%gq, @gs) {axis=1}"}}),
              ElementsAre("weight-axis 'gd'", "weight-axis 'gd'"));
}

TEST(TensorRtRules, BlocksAreForInt4AlongTheSummedAxis) {
  EXPECT_THAT(broken({{"@n: s4", "@n: s8"}}), ElementsAre("blocks 'nd'"));
  EXPECT_THAT(broken({{"@n: s4[32,2]", "@n: s4[2,32]"},
                      {"(@n, @ns) {axis=0, block_size=16}", "(@n, @ns) {axis=1, block_size=16}"},
                      {"%i = MatMul(%r, %nd)", "%i = Gemm(%r, %nd) {transB=1}"}}),
              IsEmpty());
  EXPECT_THAT(broken({{"@ns: f32[2,2] = [1,2,3,4]",
                       "@ns: f32[32,1] = [1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,"
                       "1,1,1,1,1,1,1,1,1,1,1,1]"},
                      {"{axis=0, block_size=16}", "{axis=1, block_size=2}"}}),
              ElementsAre("blocks 'nd'"));
}

TEST(TensorRtRules, Int4IsForWeightsOfProductsInBlocks) {
  EXPECT_THAT(broken({{"@n, @ns) {axis=0, block_size=16}", "@n, @ts) {axis=1}"}}),
              ElementsAre("weight-only 'nd'"));
  EXPECT_THAT(broken({{"@fz: f8e4m3fn", "@fz: s4"}, {"(@f, @fs, @fz)", "(@f, @fs)"}}),
              ElementsAre("weight-only 'fd'"));
  EXPECT_THAT(broken({{"@ns: f32[2,2]",
                       "@ks: f32[32,1,1,1] = [1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,"
                       "1,1,1,1,1,1,1] @k: s4[32,2,1,1] = blob 256 32 @ns: f32[2,2]"},
                      {"%s = Sum(",
                       "%kd = DequantizeLinear(@k, @ks) {axis=1, block_size=2} \"kd\"\n"
                       "%kc = Conv(%x, %kd) \"k\"\n%s = Sum("},
                      {"return %s as \"y\"", "return %s as \"y\", %kc as \"k\""}}),
              ElementsAre("weight-only 'kd'"));
}

TEST(TensorRtRules, IntegersPassOnlyFromQuantizeToDequantize) {
  EXPECT_THAT(broken({{"%s = Sum(", "%q = Relu(%rq) \"q\"\n%s = Sum("},
                      {"return %s as \"y\"", "return %s as \"y\", %q as \"q\""}}),
              ElementsAre("pair 'rq'"));
  EXPECT_THAT(
      broken({{"%rd = DequantizeLinear(%rq,", "%rt = Identity(%rq) \"rt\"\n%rd = DequantizeLinear(%rt,"}}),
      ElementsAre("pair 'rq'", "pair 'rd'"));
}

TEST(TensorRtRules, IntegerInputsAndOutputsAreLeftAlone) {
  EXPECT_THAT(broken({{"(%x: f32[1,2,4,4])", "(%x: f32[1,2,4,4], %v: s8[1,2,4,4])"},
                      {"DequantizeLinear(%xq, ", "DequantizeLinear(%v, "},
                      {"return %s as \"y\"", "return %s as \"y\", %xq as \"q\""}}),
              IsEmpty());
}

TEST(TensorRtRules, QuantizedWeightsAreConstants) {
  EXPECT_THAT(broken({{"(%x: f32[1,2,4,4])", "(%x: f32[1,2,4,4], %v: f32[2,32])"},
                      {"(@gw, @gs, @gz) {axis=0}", "(%v, @xs, @xz)"},
                      {"(%gq, @gs, @gz) {axis=0}", "(%gq, @xs, @xz)"}}),
              ElementsAre("weight-constant 'gemm'"));  // a product of two activations is fine: MatMul
}

TEST(TensorRtRules, BiasesAreFloats) {
  const Change declared{"@b: f32[3] = [1,2,3]", "@b: s32[3] = [1,2,3] @bs: f32[3] = [1,1,1]"};
  const Change used{"%c = Conv(%xd, %wd, @b)",
                    "%bd = DequantizeLinear(@b, @bs) {axis=0} \"bd\"\n%c = Conv(%xd, %wd, %bd)"};
  EXPECT_THAT(broken({declared, used}), ElementsAre("float-bias 'conv'"));
}

TEST(TensorRtRules, ShapesAreNotQuantized) {
  const Change sizes{"%s = Sum(",
                     "%sh = Shape(%x) \"sh\"\n%sc = Cast(%sh) {to=1} \"sc\"\n%sm = Mul(%sc, @xs) \"sm\"\n"
                     "%sq = QuantizeLinear(%sm, @xs, @xz) \"sq\"\n"
                     "%sd = DequantizeLinear(%sq, @xs, @xz) \"sd\"\n%s = Sum("};
  EXPECT_THAT(broken({sizes, {"return %s as \"y\"", "return %s as \"y\", %sd as \"sd\""}}),
              ElementsAre("shape 'sq'"));
}

TEST(TensorRtRules, OtherQuantizedOperatorsAreNotExplicit) {
  const auto rules = broken({{"%s = Sum(",
                              "%dq, %ds, %dz = DynamicQuantizeLinear(%r) \"dyn\"\n"
                              "%di = MatMulInteger(%dq, @gi, %dz) \"int\"\n%s = Sum("},
                             {"@ns: f32[2,2]", "@gi: s8[32,2] = blob 256 64 @ns: f32[2,2]"},
                             {"return %s as \"y\"", "return %s as \"y\", %di as \"di\""}});
  EXPECT_THAT(rules, ElementsAre("format 'dyn'", "format 'int'"));
}

TEST(TensorRtRules, EachFormNeedsItsOpset) {
  EXPECT_THAT(broken({}, 20), ElementsAre("opset 'nd'"));
  EXPECT_THAT(broken({}, 18), ElementsAre("opset 'fq'", "opset 'fd'", "opset 'fw'", "opset 'nd'"));
  EXPECT_THAT(broken({}, 12), ElementsAre("opset 'wd'", "opset 'td'", "opset 'gq'", "opset 'gd'",
                                          "opset 'fq'", "opset 'fd'", "opset 'fw'", "opset 'nd'"));
  const auto found = violations({}, 20);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_THAT(found[0].message(), HasSubstr("opset 21 or later"));
}

TEST(TensorRtRules, BodiesOfSubgraphsAreChecked) {
  const auto graph = ir::parse(R"(graph (%c: bool[]) {
    %y: f32[2] = If(%c) {else_branch=graph e() { @v: f32[2] = [1,2] return @v as "o" }, then_branch=graph t() {
        @v: f32[2] = [1,2]
        @s: f32[] = [0.5]
        @z: s8[] = [3]
        %q: s8[2] = QuantizeLinear(@v, @s, @z) "q"
        %d: f32[2] = DequantizeLinear(%q, @s, @z) "d"
        return %d as "o" }} "if"
    return %y as "y" })");
  ASSERT_TRUE(graph.ok()) << graph.error().message();
  const auto found = check_rules(*graph);
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].rule, "symmetric");
}

}  // namespace
}  // namespace narrow::tensorrt
