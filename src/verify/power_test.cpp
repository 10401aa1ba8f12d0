#include "verify/power.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace narrow::verify {
namespace {

TEST(ParseTolerance, PercentagePointsOnly) {
  EXPECT_EQ(*parse_tolerance("0.5pp"), 0.5);
  for (const char* wrong : {"", "0.5", "0.5%", "pp", "0pp", "-1pp", "100pp", "nanpp", "1ppp", "1 pp"})
    EXPECT_FALSE(parse_tolerance(wrong).ok()) << wrong;
}

Figure figure(double value, double change, double deviation) {
  Figure f{.value = value, .interval = {}, .reference = {}, .change = 0, .change_interval = {}};
  f.sample_change = change, f.sample_deviation = deviation;
  return f;
}

TEST(PlanSamples, ByLabelsOrByAgreement) {
  Figures figures{.samples = 200,
                  .by_name = {{"agreement", figure(97, -3, 17)}, {"kld", figure(0.01, 0.01, 0.02)}},
                  .mcnemar_p = 1};
  SamplePlan plan = plan_samples(figures, 0.5);
  EXPECT_EQ(plan.by, "agreement");
  EXPECT_NEAR(plan.discordance, 0.03, 1e-12);
  EXPECT_EQ(plan.needed, samples_to_show(0.005, 0.03));
  ASSERT_EQ(plan.to_detect.size(), 2U);
  EXPECT_EQ(plan.to_detect[0].first, "kld");
  EXPECT_LT(plan.to_detect[0].second, plan.to_detect[1].second);
  EXPECT_THAT(text_of(plan), testing::HasSubstr("agreement differs on 3.00% of the 200 samples"));
  Figure top1 = figure(80, -0.5, 10);
  top1.paired = PairedCounts{200, 2, 1};
  figures.by_name.emplace("top1", top1);
  plan = plan_samples(figures, 0.5);
  EXPECT_EQ(plan.by, "top1");
  EXPECT_EQ(plan.needed, samples_to_show(0.005, 3 / 200.0));
  EXPECT_EQ(to_json(plan)["samples_needed"], plan.needed);
  EXPECT_EQ(plan_samples({}, 1).needed, 0);
}

}  // namespace
}  // namespace narrow::verify
