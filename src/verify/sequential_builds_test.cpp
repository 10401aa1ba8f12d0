#include "verify/sequential_builds.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/random.h"

namespace narrow::verify {
namespace {

using Scores = std::vector<SampleScore>;

std::vector<Gate> gates(const std::vector<std::string>& texts) {
  std::vector<Gate> list;
  for (const std::string& text : texts) list.push_back(*parse_gate(text));
  return list;
}

/// Builds that answer until they are decided, as in evaluate(). FP32 is right on 80% of the samples; of those
/// build i loses the share lost[i], each by dice of its own.
struct Race {
  Race(const std::vector<double>& lost, const char* gate, int64_t tests, int64_t most, uint64_t seed)
      : builds(gates({gate}), seed, tests), scores(lost.size()) {
    Random random(seed);
    for (size_t i = 0; i < lost.size(); ++i) EXPECT_TRUE(builds.enter(most).ok());
    bool open = true;
    while (std::ssize(reference) < most && open) {
      reference.emplace_back().top1 = random.uniform() < 0.8;
      for (size_t i = 0; i < lost.size(); ++i) {
        const bool right = reference.back().top1 && random.uniform() >= lost[i];
        if (!builds.open(i)) continue;
        scores[i].emplace_back().top1 = right;
        builds.add(i, scores[i], std::span(reference).first(scores[i].size()));
      }
      builds.settle();
      open = false;
      for (size_t i = 0; i < lost.size(); ++i) open = open || builds.open(i);
    }
  }
  SequentialBuilds builds;
  Scores reference;
  std::vector<Scores> scores;
};

TEST(SequentialBuilds, AnyWrongPassIsRare) {
  // Six builds whose drop is the bound, 20 pp. Each at 2.5%, any passes in 10% of the families, above what
  // is allowed here.
  constexpr int kFamilies = 300;
  int wrong = 0;
  for (int family = 0; family < kFamilies; ++family) {
    const Race race({0.25, 0.25, 0.25, 0.25, 0.25, 0.25}, "top1.drop<=20pp", 6, 400,
                    static_cast<uint64_t>(family) + 1);
    bool any = false;
    for (size_t i = 0; i < 6; ++i) any = any || race.builds.passed(i);
    wrong += any ? 1 : 0;
  }
  EXPECT_LE(wrong, 0.025 * kFamilies + 5 * std::sqrt(0.025 * 0.975 * kFamilies));
}

TEST(SequentialBuilds, ClearOnesStopEarlyWithTheVerdictOfAllSamples) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    const Race race({0, 0.3}, "top1.drop<=5pp", 2, 2000, seed);
    EXPECT_TRUE(race.builds.passed(0));
    EXPECT_TRUE(race.builds[1].failed());
    EXPECT_FALSE(race.builds.passed(1));
    // As SequentialGate.StopsEarlyWhenThingsAreClear has it, with ln 80 in the place of ln 40.
    EXPECT_LE(race.builds[0].units(), 105);
    EXPECT_LE(race.builds[1].units(), 200);
    Random random(seed);
    Scores reference(2000), bad(2000);
    for (size_t i = 0; i < reference.size(); ++i) {
      reference[i].labelled = bad[i].labelled = true;
      reference[i].top1 = random.uniform() < 0.8;
      bad[i].top1 = reference[i].top1 && random.uniform() >= 0.3;
    }
    const Gate gate = *parse_gate("top1.drop<=5pp");
    const Scores good = reference;
    EXPECT_EQ(check_gate(gate, make_figures(good, reference, 1), {}, Proof::ci)->verdict,
              GateResult::Verdict::passed);
    EXPECT_EQ(check_gate(gate, make_figures(bad, reference, 1), {}, Proof::ci)->verdict,
              GateResult::Verdict::failed);
  }
}

TEST(SequentialBuilds, BuildsToComeAndHolmSetTheLevels) {
  const Race alone({0}, "top1.drop<=5pp", 1, 2000, 1), of_ten({0}, "top1.drop<=5pp", 10, 2000, 1);
  EXPECT_DOUBLE_EQ(alone.builds.alpha(0), 0.025);
  EXPECT_DOUBLE_EQ(of_ten.builds.alpha(0), 0.0025);
  EXPECT_LT(alone.builds[0].units(), of_ten.builds[0].units());
  // One has passed at 0.025 / 3: the next is asked for 0.025 / 2.
  const Race two({0, 0.3}, "top1.drop<=5pp", 3, 2000, 1);
  EXPECT_DOUBLE_EQ(two.builds.alpha(0), 0.025 / 3);
  EXPECT_DOUBLE_EQ(two.builds.alpha(1), 0.025 / 2);
}

TEST(SequentialBuild, AllGatesMustPassAndOneMayFail) {
  // All agree, and nothing is lost; divergences of 0.2 break the second gate at the look after 64 of 256.
  const auto run = [](const std::vector<std::string>& texts) {
    auto build = SequentialBuild::create(gates(texts), 256, 1);
    EXPECT_TRUE(build.ok());
    Scores scores, reference;
    Random random(5);
    while (std::ssize(scores) < 256 && !build->decided(kSequentialError)) {
      SampleScore& s = scores.emplace_back();
      s.rows = s.agree = 1, s.kld = random.uniform(0.1, 0.3);
      reference.emplace_back().rows = 1;
      build->add(scores, reference);
    }
    return *build;
  };
  const SequentialBuild good = run({"agreement>=50%", "size<=0.1x"}),
                        bad = run({"agreement>=50%", "kld<=0.05"}),
                        both = run({"agreement>=50%", "kld<=0.5"});
  EXPECT_LT(good.units(), 20);
  EXPECT_LE(good.pass_p(), 0.025);
  EXPECT_TRUE(bad.failed());
  EXPECT_EQ(bad.units(), 64);
  EXPECT_FALSE(both.failed());
  EXPECT_EQ(both.units(), 64);
  EXPECT_LE(both.pass_p(), 0.025);
  EXPECT_EQ(bad.result(0, {}, 0.025).verdict, GateResult::Verdict::passed);
  EXPECT_EQ(bad.result(1, {}, 0.025).verdict, GateResult::Verdict::failed);
  // A gate about size is measured.
  GateResult measured;
  measured.verdict = GateResult::Verdict::failed;
  EXPECT_EQ(good.result(1, measured, 0.025).verdict, GateResult::Verdict::failed);
}

TEST(SequentialBuild, GatesItCannotDecideAreErrors) {
  for (const auto& texts : std::vector<std::vector<std::string>>{
           {}, {"size<=1x"}, {"metric<=1"}, {"top1.drop<=1pp", "agreement>=100%"}}) {
    const auto build = SequentialBuild::create(gates(texts), 100, 1);
    ASSERT_FALSE(build.ok());
    EXPECT_EQ(build.error().code, Code::usage);
  }
}

}  // namespace
}  // namespace narrow::verify
