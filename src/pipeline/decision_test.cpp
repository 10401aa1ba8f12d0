#include "pipeline/decision.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace narrow::pipeline {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Option build(const char* name, double ms, int64_t bytes, std::vector<std::string> failed = {},
             std::vector<std::string> inconclusive = {}) {
  Option option;
  option.name = name;
  option.p50_ms = ms;
  option.throughput = 1000 / ms;
  option.bytes = bytes;
  option.failed_gates = std::move(failed);
  option.inconclusive_gates = std::move(inconclusive);
  return option;
}
Option fp32() {
  Option option = build("fp32", 10, 100);
  option.is_reference = true;
  return option;
}

TEST(Decide, TheBestByEachObjectiveInAnyOrder) {
  std::vector<Option> options = {fp32(), build("bf16", 6, 50), build("int8", 4, 40), build("small", 9, 20)};
  std::sort(options.begin(), options.end(), [](const Option& a, const Option& b) { return a.name < b.name; });
  do {
    EXPECT_EQ(decide(options, Objective::latency).chosen, "int8");
    EXPECT_EQ(decide(options, Objective::throughput).chosen, "int8");
    EXPECT_EQ(decide(options, Objective::size).chosen, "small");
    EXPECT_EQ(decide(options, Objective::cost).chosen, "int8");  // 160 against 180
  } while (std::next_permutation(options.begin(), options.end(),
                                 [](const Option& a, const Option& b) { return a.name < b.name; }));
}

TEST(Decide, SlowerThanFp32IsNeverChosenForTime) {
  const std::vector<Option> options = {fp32(), build("int8", 10.01, 25)};
  for (const Objective objective : {Objective::latency, Objective::throughput}) {
    const Decision d = decide(options, objective);
    EXPECT_EQ(d.chosen, "fp32");
    EXPECT_THAT(d.fallback, ElementsAre("fp32"));
    EXPECT_THAT(d.verdicts.at(1).text, HasSubstr("slower than fp32 (1.00x)"));
    EXPECT_TRUE(d.verdicts.at(1).passes);
  }
  EXPECT_EQ(decide(options, Objective::size).chosen, "int8");
  EXPECT_EQ(decide(options, Objective::cost).chosen, "int8");
}

TEST(Decide, GatesRuleBuildsOut) {
  const std::vector<Option> options = {fp32(), build("bf16", 6, 50),
                                       build("int8", 3, 25, {"top1.drop 2 pp > 1 pp"}),
                                       build("mixed", 4, 30, {}, {"top1.drop 0.9 pp"})};
  const Decision d = decide(options, Objective::latency);
  EXPECT_EQ(d.chosen, "bf16");
  EXPECT_THAT(d.fallback, ElementsAre("bf16", "fp32"));
  EXPECT_FALSE(d.verdicts.at(2).passes);
  EXPECT_EQ(d.verdicts.at(2).text, "top1.drop 2 pp > 1 pp");
  EXPECT_FALSE(d.verdicts.at(3).passes);
  EXPECT_THAT(d.verdicts.at(3).text, HasSubstr("inconclusive"));
  EXPECT_THAT(d.verdicts.at(1).text, HasSubstr("1.7x faster than fp32, 2.0x smaller"));
}

TEST(Decide, NothingPasses) {
  const Decision d = decide({build("int8", 1, 1, {"a"})}, Objective::latency);
  EXPECT_EQ(d.chosen, "");
  EXPECT_TRUE(d.fallback.empty());
  Option reference = fp32();
  reference.failed_gates = {"p50 10 ms > 1 ms"};
  const Decision both = decide({reference, build("int8", 2, 1, {"b"})}, Objective::latency);
  EXPECT_EQ(both.chosen, "");
  EXPECT_THAT(both.explanation, HasSubstr("FP32 included"));
  EXPECT_EQ(decide({}, Objective::size).chosen, "");
}

TEST(Decide, WorksWithoutAReference) {
  for (const Objective o : {Objective::latency, Objective::throughput, Objective::size, Objective::cost})
    EXPECT_EQ(decide({build("int8", 2, 10), build("bf16", 3, 20)}, o).chosen, "int8");
}

TEST(Decide, WithinTheNoiseTheSmallerFileWins) {
  EXPECT_EQ(decide({fp32(), build("bf16", 4, 50), build("int8", 4.1, 25)}, Objective::latency).chosen,
            "int8");
  EXPECT_EQ(decide({fp32(), build("bf16", 4, 50), build("int8", 4.2, 25)}, Objective::latency).chosen,
            "bf16");
  EXPECT_EQ(decide({fp32(), build("bf16", 4, 50), build("int8", 5, 49)}, Objective::size).chosen, "bf16");
  // Three in a row, each within the noise of the next but not of the one after: measured from the best.
  std::vector<Option> chain = {build("a", 10, 10), build("b", 9.8, 20), build("c", 9.6, 30)};
  do EXPECT_EQ(decide(chain, Objective::latency).chosen, "b");
  while (std::next_permutation(chain.begin(), chain.end(),
                               [](const Option& x, const Option& y) { return x.name < y.name; }));
}

TEST(Decide, FallbackGoesFromBestToSafest) {
  const Decision d = decide({fp32(), build("bf16", 6, 50), build("mixed", 4.1, 28), build("int8", 4, 30)},
                            Objective::latency);
  EXPECT_THAT(d.fallback, ElementsAre("mixed", "int8", "bf16", "fp32"));
  EXPECT_EQ(to_json(d)["chosen"], "mixed");
  EXPECT_EQ(to_json(d)["verdicts"].size(), 4U);
}

TEST(Decide, UnmeasuredThroughputIsNotTheBest) {
  Option unmeasured = build("int8", 0, 25);
  unmeasured.throughput = 0;
  EXPECT_EQ(decide({fp32(), unmeasured, build("bf16", 6, 50)}, Objective::throughput).chosen, "bf16");
}

TEST(Objective, NamesRoundTrip) {
  for (const Objective o : {Objective::latency, Objective::throughput, Objective::size, Objective::cost})
    EXPECT_EQ(parse_objective(to_string(o)), o);
  EXPECT_FALSE(parse_objective("speed"));
}

}  // namespace
}  // namespace narrow::pipeline
