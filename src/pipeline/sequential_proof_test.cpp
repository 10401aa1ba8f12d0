#include "pipeline/sequential_proof.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "data/test_samples.h"
#include "ir/text.h"

namespace narrow::pipeline {
namespace {

std::vector<verify::Gate> gates(const char* text) { return {*verify::parse_gate(text)}; }

/// Answers of two classes: x, and its opposite.
runtime::Session answering(const char* text, const std::shared_ptr<ThreadPool>& pool) {
  auto graph = ir::parse(text);
  EXPECT_TRUE(graph.ok()) << graph.error().message();
  auto session = runtime::Session::create(*graph, pool);
  EXPECT_TRUE(session.ok()) << session.error().message();
  return std::move(*session);
}

constexpr const char* kSame = R"(graph g(%x: f32[N,2]) {
  %y: f32[N,2] = Relu(%x)
  return %y as "y"
}
)";
constexpr const char* kOther = R"(graph g(%x: f32[N,2]) {
  %y: f32[N,2] = Neg(%x)
  return %y as "y"
}
)";

data::Samples samples(int64_t count) {
  std::vector<float> values;
  for (int64_t i = 0; i < count; ++i) values.insert(values.end(), {static_cast<float>(i % 2), 0.5F});
  return data::Samples({{"x", Tensor::of({count, 2}, values)}});
}

TEST(SequentialProof, ClearBuildsStopAndTheOthersGoOn) {
  const auto pool = std::make_shared<ThreadPool>(1);
  const data::Samples data = samples(300);
  runtime::Session reference = answering(kSame, pool), good = answering(kSame, pool),
                   bad = answering(kOther, pool);
  auto proof = SequentialProof::create(gates("agreement>=90%"), data, 1, 4);
  ASSERT_TRUE(proof.ok()) << proof.error().message();
  proof->expect(2, false);
  const auto scores = proof->prove(reference, {{"good", &good}, {"bad", &bad}}, *pool, {});
  ASSERT_TRUE(scores.ok()) << scores.error().message();
  const std::vector<TakenSamples> taken = proof->taken();
  ASSERT_EQ(taken.size(), 2U);
  EXPECT_TRUE(taken[0].decided && taken[1].decided);
  EXPECT_EQ(taken[0].available, 300);
  EXPECT_LT(taken[1].samples, 10);
  EXPECT_GT(taken[0].samples, taken[1].samples);
  EXPECT_LT(taken[0].samples, 100);
  EXPECT_EQ(std::ssize(scores->builds[0]), taken[0].samples);
  EXPECT_EQ(std::ssize(scores->builds[1]), taken[1].samples);
  EXPECT_EQ(scores->reference.size(), scores->builds[0].size());
  EXPECT_EQ(proof->result("good", 0, {}).verdict, verify::GateResult::Verdict::passed);
  EXPECT_EQ(proof->result("bad", 0, {}).verdict, verify::GateResult::Verdict::failed);
  EXPECT_TRUE(*proof->holds_in_search(scores->builds[0], scores->reference));
  EXPECT_FALSE(*proof->holds_in_search(scores->builds[1], scores->reference));
  const Comparisons compared = proof->comparisons();
  EXPECT_EQ(compared.tried, 2);
  EXPECT_DOUBLE_EQ(compared.level_of("good"), 1 - 0.05 / 2);
  EXPECT_THAT(compared.sentence, testing::HasSubstr("good passed after"));
}

TEST(SequentialProof, WhatSearchesSeesOtherSamplesThanWhatProves) {
  const auto pool = std::make_shared<ThreadPool>(1);
  const data::Samples data = samples(300);
  runtime::Session reference = answering(kSame, pool), good = answering(kSame, pool);
  auto proof = SequentialProof::create(gates("agreement>=99.9%"), data, 1, 4);
  ASSERT_TRUE(proof.ok());
  const std::vector<int64_t> search = proof->search_units();
  EXPECT_EQ(std::set<int64_t>(search.begin(), search.end()).size(), 150U);
  EXPECT_EQ(proof->search_samples(), 150);
  proof->expect(0, true);
  // 99.9% cannot be shown on so few: all are taken, but for those of the search and of layers, 0 to 3.
  ASSERT_TRUE(proof->prove_mix(reference, {{"mixed", &good}}, *pool, {}).ok());
  int64_t left = 150;
  for (int64_t unit = 0; unit < 4; ++unit)
    left -= std::find(search.begin(), search.end(), unit) == search.end() ? 1 : 0;
  EXPECT_EQ(proof->taken()[0].samples, left);
  EXPECT_FALSE(proof->taken()[0].decided);
}

TEST(SequentialProof, SequencesAreRefused) {
  data::Samples data = samples(10);
  data.carry({{"x", "y"}});
  const auto proof = SequentialProof::create(gates("agreement>=90%"), data, 1, 4);
  ASSERT_FALSE(proof.ok());
  EXPECT_EQ(proof.error().code, Code::usage);
}

}  // namespace
}  // namespace narrow::pipeline
