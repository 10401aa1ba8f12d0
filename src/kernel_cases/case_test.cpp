#include "kernel_cases/case.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kernel_cases/draw.h"

namespace narrow::kernel_cases {
namespace {

using testing::HasSubstr;

Case parsed(std::string_view line) {
  Result<Case> c = parse_case(line);
  EXPECT_TRUE(c.ok()) << c.error().message();
  return *c;
}

TEST(CaseText, PrintsWhatIsNotTheDefaultInTheFamilysOrder) {
  EXPECT_EQ(text(parsed(
                "  conv  seed=7 bias act=relu\tsrc=u8 weights=s8 residual=u8 kernel=3x1 src_scale=0.1 h=5 ")),
            "conv src=u8 src_scale=0.1 weights=s8 h=5 kernel=3x1 out=3x1 bias residual=u8 act=relu seed=7");
  EXPECT_EQ(text(parsed("conv n=1 c=1 dst=f32")), "conv out=1x1");
}

TEST(CaseText, EveryDrawnCaseReadsBackAsItself) {
  for (const Family& family : families())
    for (int64_t i = 0; i < 300; ++i) {
      Dice dice = dice_of(5, i);
      const Case c = draw_case(dice, &family);
      const Result<Case> again = parse_case(text(c));
      ASSERT_TRUE(again.ok()) << text(c) << ": " << again.error().message();
      ASSERT_EQ(*again, c) << text(c);
    }
}

TEST(CaseText, DerivesTheOutputFromPaddingOnBothSides) {
  const Case c = parsed("conv h=10 w=7 kernel=3x5 stride=2x1 pad=1x0 dilation=1x2");
  EXPECT_EQ(c.height("out"), 5);
  EXPECT_EQ(c.width("out"), 0);  // the window of 9 columns does not fit into 7
}

std::string message_of(std::string_view line) {
  const Result<Case> c = parse_case(line);
  if (c.ok()) return "none";
  EXPECT_EQ(c.error().code, Code::usage) << line;
  return c.error().message();
}

TEST(CaseText, ErrorsNameFieldExpectationAndWhatCame) {
  EXPECT_THAT(message_of(""), HasSubstr("expected a family first, one of conv"));
  EXPECT_THAT(message_of("cnov h=1"), HasSubstr("got 'cnov'"));
  EXPECT_THAT(message_of("conv hight=3"), HasSubstr("conv case: expected fields out of src"));
  EXPECT_EQ(message_of("conv h=3 h=4"), "conv case: expected 'h' once, got it again");
  EXPECT_EQ(message_of("conv h=0"), "h: expected an integer of 1 to 1048576, got '0'");
  EXPECT_EQ(message_of("conv h=1.5"), "h: expected an integer of 1 to 1048576, got '1.5'");
  EXPECT_EQ(message_of("conv h"), "h: expected an integer of 1 to 1048576, got ''");
  EXPECT_EQ(message_of("conv kernel=3"), "kernel: expected HEIGHTxWIDTH, each of 1 to 1048576, got '3'");
  EXPECT_EQ(message_of("conv src=s4"), "src: expected one of f32 bf16 f16 u8 s8, got 's4'");
  EXPECT_EQ(message_of("conv src_scale=nan"), "src_scale: expected a finite number, got 'nan'");
  EXPECT_EQ(message_of("conv bias=1"), "bias: expected 'bias' without a value, got '1'");
  EXPECT_EQ(message_of("conv h=99999999999999999999"),
            "h: expected an integer of 1 to 1048576, got '99999999999999999999'");
  EXPECT_THAT(message_of("conv \x1b[2J=1"), HasSubstr(R"('\x1b[2J')"));
}

TEST(CaseText, ErrorsSayWhatDoesNotFitTogether) {
  EXPECT_THAT(message_of("conv src=u8"), HasSubstr("src=u8 weights=f32: u8 and s8 go with s8"));
  EXPECT_THAT(message_of("conv c=6 oc=4 groups=4"), HasSubstr("groups=4: wants a divisor of c=6 and oc=4"));
  EXPECT_THAT(message_of("conv src=s8 src_zero=200 weights=s8"),
              HasSubstr("src_zero = 200: wants a value of s8"));
  EXPECT_THAT(message_of("conv src=u8 weights=s8 c=70000"), HasSubstr("70000 products per sum"));
  EXPECT_THAT(message_of("conv h=1048576 w=1048576 c=1048576"),
              HasSubstr("src has 1152921504606846976 elements"));
  EXPECT_THAT(message_of("conv act=clip act_alpha=2 act_beta=1"), HasSubstr("wants act_alpha <= act_beta"));
}

}  // namespace
}  // namespace narrow::kernel_cases
