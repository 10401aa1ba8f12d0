#include "verify/scores.h"

#include <gtest/gtest.h>

#include <cmath>

#include "verify/figures.h"

namespace narrow::verify {
namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN(), kInf = std::numeric_limits<float>::infinity();

Tensor rows(Shape shape, const std::vector<float>& values) { return Tensor::of(std::move(shape), values); }

struct Scored {
  std::vector<SampleScore> reference, build;
};

/// Two outputs scored against each other under the name "y".
Scored score(const Tensor& wanted, const Tensor& given, data::Batch batch,
             const data::DatasetInfo& info = {}) {
  const ScoreSpec spec{.first_output = "y", .outputs = {"y"}, .data = info};
  batch.count = wanted.dim(0);
  Scored s;
  EXPECT_TRUE(score_batch(spec, batch, {{"y", wanted}}, {{"y", wanted}}, s.reference).ok());
  const Status status = score_batch(spec, batch, {{"y", given}}, {{"y", wanted}}, s.build);
  EXPECT_TRUE(status.ok()) << (status.ok() ? "" : status.error().message());
  return s;
}

data::Batch labelled(std::vector<int64_t> labels) {
  data::Batch batch;
  batch.labels = std::move(labels);
  return batch;
}

TEST(Scores, TiesGoToTheLowestIndex) {
  const Tensor y = rows({4, 7}, {1, 3, 3, 0, 0, 0, 0,    // top is 1
                                 2, 2, 2, 2, 2, 2, 2,    // all tie: 0 first, five are 0..4
                                 2, 2, 2, 2, 2, 2, 2,    //
                                 0, 1, 2, 3, 4, 5, 6});  // five are 2..6
  const auto s = score(y, y, labelled({2, 4, 5, 2})).build;
  EXPECT_EQ(s[0].answer, 1);
  EXPECT_FALSE(s[0].top1);
  EXPECT_TRUE(s[0].top5);
  EXPECT_EQ(s[1].answer, 0);
  EXPECT_TRUE(s[1].top5);
  EXPECT_FALSE(s[2].top5);
  EXPECT_TRUE(s[3].top5);
  EXPECT_EQ(s[3].answer, 6);
  EXPECT_TRUE(score(rows({1, 3}, {0, 1, 2}), rows({1, 3}, {0, 1, 2}), labelled({0})).build[0].top5);
}

double naive_kld(const std::vector<double>& p_logits, const std::vector<double>& q_logits) {
  double p_sum = 0, q_sum = 0, kld = 0;
  for (const double x : p_logits) p_sum += std::exp(x);
  for (const double x : q_logits) q_sum += std::exp(x);
  for (size_t i = 0; i < p_logits.size(); ++i) {
    const double p = std::exp(p_logits[i]) / p_sum, q = std::exp(q_logits[i]) / q_sum;
    kld += p * std::log(p / q);
  }
  return kld;
}

TEST(Scores, DivergenceOfLogitsAndOfProbabilities) {
  const Tensor p = rows({1, 2, 3}, {1, 2, 3, -1, 0, 5}), q = rows({1, 2, 3}, {1.5F, 2, 2, -1, 6, 5});
  const auto s = score(p, q, {}).build[0];
  EXPECT_EQ(s.rows, 2);
  EXPECT_EQ(s.agree, 0);
  EXPECT_NEAR(s.kld, naive_kld({1, 2, 3}, {1.5, 2, 2}) + naive_kld({-1, 0, 5}, {-1, 6, 5}), 1e-9);
  const auto probabilities =
      score(rows({1, 3}, {0.5F, 0.25F, 0.25F}), rows({1, 3}, {0.25F, 0.5F, 0.25F}), {}).build[0];
  EXPECT_NEAR(probabilities.kld, 0.5 * std::log(2.0) - 0.25 * std::log(2.0), 1e-7);
  EXPECT_NEAR(score(p, p, {}).build[0].kld, 0, 1e-12);
  // Shifted logits are the same distribution; masked classes add nothing; huge logits do not overflow.
  EXPECT_NEAR(score(p, rows({1, 2, 3}, {11, 12, 13, 9, 10, 15}), {}).build[0].kld, 0, 1e-6);
  EXPECT_NEAR(score(rows({1, 3}, {1, 2, -kInf}), rows({1, 3}, {1, 2, -kInf}), {}).build[0].kld, 0, 1e-12);
  EXPECT_NEAR(score(rows({1, 2}, {3e38F, 0}), rows({1, 2}, {3e38F, 0}), {}).build[0].kld, 0, 1e-12);
}

TEST(Scores, MarginsOfWhatFP32Answers) {
  // FP32 answers class 0 by 2, class 2 by 1, class 1 by 4; the build has 1.5 of 2 left, less than half of 1,
  // and -1.
  const Tensor reference = rows({3, 3}, {5, 3, 1, 0, 1, 2, 0, 4, 0}),
               build = rows({3, 3}, {5, 3.5F, 1, 0, 2, 2.25F, 3, 2, 0});
  const auto s = score(reference, build, {});
  const std::vector<double> wanted = {2, 1, 4}, given = {1.5, 0.25, -1};
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(s.reference[i].margin, wanted[i]);
    EXPECT_EQ(s.build[i].margin, given[i]);
    EXPECT_EQ(s.build[i].margin_rows, 1);
    EXPECT_EQ(s.build[i].halved, i == 0 ? 0 : 1);
    EXPECT_EQ(s.reference[i].halved, 0);
  }
  const Figures f = make_figures(s.build, s.reference, 1);
  EXPECT_NEAR(f.by_name.at("margin").value, 0.25, 1e-12);
  EXPECT_NEAR(*f.by_name.at("margin").reference, 7 / 3.0, 1e-12);
  EXPECT_NEAR(f.by_name.at("margin_halved").value, 200 / 3.0, 1e-12);
  EXPECT_EQ(f.by_name.at("margin_halved").share->yes, 2);
  // A tie leaves no margin, which cannot be halved; classes masked with -Inf leave one that is no number.
  const auto tie = score(rows({1, 2}, {1, 1}), rows({1, 2}, {1, 1}), {}).build[0];
  EXPECT_EQ(tie.margin_rows, 1);
  EXPECT_EQ(tie.halved, 0);
  EXPECT_EQ(score(rows({1, 2}, {1, -kInf}), rows({1, 2}, {1, -kInf}), {}).build[0].margin_rows, 0);
  EXPECT_EQ(score(rows({1, 2}, {1, 0}), rows({1, 2}, {kNaN, 0}), {}).build[0].halved, 1);
}

TEST(Scores, PerplexityAgainstTheNaiveSum) {
  // Two samples, three tokens each, a vocabulary of two.
  const std::vector<float> logits = {0, 1, 2, 0, 5, 5, 1, 1, 0, 3, 0, 0};
  data::Batch batch;
  batch.inputs["ids"] = Tensor::of<int64_t>({2, 3}, {0, 1, 0, 1, 1, 0});
  data::DatasetInfo info;
  info.next_token = "ids";
  const auto s = score(rows({2, 3, 2}, logits), rows({2, 3, 2}, logits), batch, info).build;
  const auto nll = [](double a, double b, int next) {
    return -std::log(std::exp(next == 0 ? a : b) / (std::exp(a) + std::exp(b)));
  };
  EXPECT_NEAR(s[0].nll, nll(0, 1, 1) + nll(2, 0, 0), 1e-6);
  EXPECT_NEAR(s[1].nll, nll(1, 1, 1) + nll(0, 3, 0), 1e-6);
  EXPECT_EQ(s[0].tokens, 2);
  const Figures f = make_figures(s, s, 1);
  EXPECT_NEAR(f.by_name.at("perplexity").value, std::exp((s[0].nll + s[1].nll) / 4), 1e-9);
}

TEST(Scores, TargetsAndDistances) {
  data::Batch batch;
  batch.targets["y"] = rows({2, 2}, {1, 2, 3, 4});
  data::DatasetInfo info;
  info.targets = {"y"};
  const auto s = score(rows({2, 2}, {1, 2, 3, 4}), rows({2, 2}, {1, 3, 1, 4}), batch, info);
  EXPECT_EQ(s.build[0].abs_error, 1);
  EXPECT_EQ(s.build[1].abs_error, 2);
  EXPECT_EQ(s.build[1].square_error, 4);
  const Figures f = make_figures(s.build, s.reference, 1);
  EXPECT_EQ(f.by_name.at("mae").value, 3 / 4.0);
  EXPECT_EQ(f.by_name.at("mae").reference, 0);
  EXPECT_NEAR(f.by_name.at("rmse").value, std::sqrt(5 / 4.0), 1e-12);
  EXPECT_NEAR(f.by_name.at("sqnr").value, 10 * std::log10(30 / 5.0), 1e-12);
  EXPECT_NEAR(f.by_name.at("cosine").value, (1 + 6 + 3 + 16) / std::sqrt(30.0 * 27), 1e-12);
}

TEST(Scores, RowsThatOneBuildLacksAreZeros) {
  data::Batch batch;
  batch.count = 1;
  const ScoreSpec spec{.first_output = "boxes", .outputs = {"boxes"}, .data = {}};
  std::vector<SampleScore> scores;
  ASSERT_TRUE(score_batch(spec, batch, {{"boxes", rows({1, 2}, {3, 4})}},
                          {{"boxes", rows({2, 2}, {3, 5, 2, 1})}}, scores)
                  .ok());
  EXPECT_EQ(scores[0].signal, 9 + 25 + 4 + 1);
  EXPECT_EQ(scores[0].noise, 1 + 4 + 1);
}

TEST(Scores, ClassIndicesAreNoNumbersBesideLogits) {
  data::Batch batch;
  batch.count = 1;
  const Tensor logits = rows({1, 2}, {1, 2}), one = Tensor::of<int64_t>({1}, {1}),
               zero = Tensor::of<int64_t>({1}, {0});
  std::vector<SampleScore> both, alone;
  ASSERT_TRUE(score_batch({.first_output = "y", .outputs = {"y", "best"}, .data = {}}, batch,
                          {{"y", logits}, {"best", zero}}, {{"y", logits}, {"best", one}}, both)
                  .ok());
  EXPECT_EQ(both[0].noise, 0);
  ASSERT_TRUE(score_batch({.first_output = "best", .outputs = {"best"}, .data = {}}, batch, {{"best", zero}},
                          {{"best", one}}, alone)
                  .ok());
  EXPECT_EQ(alone[0].noise, 1);
}

TEST(Scores, MismatchesAreErrors) {
  const ScoreSpec spec{.first_output = "y", .outputs = {"y"}, .data = {}};
  const Tensor y = rows({1, 3}, {1, 2, 3});
  const auto code = [&](const data::Batch& given, const Tensor& actual) {
    std::vector<SampleScore> scores;
    data::Batch batch = given;
    batch.count = 1;
    const Status status = score_batch(spec, batch, {{"y", actual}}, {{"y", y}}, scores);
    return status.ok() ? Code::internal : status.error().code;
  };
  EXPECT_EQ(code(labelled({3}), y), Code::invalid_data);
  EXPECT_EQ(code(labelled({1}), rows({3, 1}, {1, 2, 3})), Code::invalid_data);
  data::Batch named;
  named.targets["z"] = y;
  EXPECT_EQ(code(named, y), Code::invalid_data);
  data::Batch longer;
  longer.targets["y"] = rows({1, 4}, {1, 2, 3, 4});
  EXPECT_EQ(code(longer, y), Code::invalid_data);
}

/// A build that answers NaN must look bad in every figure, never perfect.
TEST(Figures, NaNIsNeverRight) {
  data::Batch batch = labelled({0, 1});
  batch.targets["y"] = rows({2, 3}, {3, 2, 1, 1, 3, 2});
  data::DatasetInfo info;
  info.targets = {"y"};
  const Tensor y = rows({2, 3}, {3, 2, 1, 1, 3, 2});
  const auto s = score(y, rows({2, 3}, {kNaN, kNaN, kNaN, kNaN, kNaN, kNaN}), batch, info);
  const Figures f = make_figures(s.build, s.reference, 1);
  for (const char* name : {"top1", "top5", "f1", "agreement"}) EXPECT_EQ(f.by_name.at(name).value, 0) << name;
  for (const char* name : {"kld", "cosine", "sqnr", "mae", "rmse"})
    EXPECT_TRUE(std::isnan(f.by_name.at(name).value)) << name;
}

TEST(Figures, OfFP32AgainstItselfNothingIsUncertain) {
  std::vector<SampleScore> scores(9);
  for (SampleScore& s : scores)
    s.labelled = s.top1 = true, s.label = s.answer = 1, s.rows = s.agree = 1, s.margin_rows = 1, s.margin = 2;
  const Figures f = make_figures(scores, scores, 1);
  for (const char* name : {"top1", "f1", "margin"}) {
    EXPECT_EQ(f.by_name.at(name).change_interval.low, 0) << name;
    EXPECT_EQ(f.by_name.at(name).change_interval.high, 0) << name;
  }
  EXPECT_EQ(f.by_name.at("agreement").interval.low, 100);
  EXPECT_LT(f.by_name.at("top1").interval.low, 100);  // 9 of 9 right is not "always right"
  // A build that agrees on all nine may still differ on the tenth.
  const std::vector<SampleScore> same = scores;
  const Figures other = make_figures(same, scores, 1);
  EXPECT_LT(other.by_name.at("top1").change_interval.low, 0);
  EXPECT_LT(other.by_name.at("agreement").interval.low, 100);
}

TEST(Figures, SamplesToDetectFollowFromMeanAndDeviation) {
  Figure f{.value = 0, .interval = {}, .reference = 1.0, .change = 0, .change_interval = {}};
  f.sample_change = -0.5, f.sample_deviation = 4;
  EXPECT_EQ(samples_to_detect(f), static_cast<int64_t>(std::ceil(std::pow((1.959964 + 0.841621) * 8, 2))));
  f.sample_change = 0;
  EXPECT_EQ(samples_to_detect(f), 0);
}

TEST(Figures, PairedSharesAndF1) {
  std::vector<SampleScore> reference(4), build(4);
  for (size_t i = 0; i < 4; ++i) {
    reference[i].labelled = build[i].labelled = true;
    reference[i].label = build[i].label = static_cast<int64_t>(i % 2);
    reference[i].answer = reference[i].label;
    reference[i].top1 = reference[i].top5 = build[i].top5 = true;
    build[i].answer = i == 3 ? 0 : build[i].label;
    build[i].top1 = i != 3;
  }
  const Figures f = make_figures(build, reference, 5);
  const Figure& top1 = f.by_name.at("top1");
  EXPECT_EQ(top1.value, 75);
  EXPECT_EQ(top1.reference, 100);
  EXPECT_EQ(top1.change, -25);
  EXPECT_LE(top1.interval.low, 75);
  EXPECT_GE(top1.interval.high, 75);
  EXPECT_LE(top1.change_interval.low, -25);
  // One of four lost: the interval of Tango's score test, beyond what resampling these four could give.
  const Interval drop = tango_interval({.samples = 4, .lost = 1, .gained = 0}, 0.95);
  EXPECT_EQ(top1.change_interval.low, -100 * drop.high);
  EXPECT_EQ(top1.change_interval.high, -100 * drop.low);
  EXPECT_GT(top1.change_interval.high, 0);
  EXPECT_NEAR(top1.sample_deviation, std::sqrt(0.25 * 0.75) * 100, 1e-9);
  // Class 0: 2 hits of 3 answers and 2 labels; class 1: 1 hit of 1 answer and 2 labels.
  EXPECT_NEAR(f.by_name.at("f1").value, 100 * (4 / 5.0 + 2 / 3.0) / 2, 1e-9);
  EXPECT_EQ(f.mcnemar_p, 1);
  EXPECT_FALSE(f.by_name.contains("perplexity"));
  EXPECT_FALSE(f.by_name.contains("mae"));
  EXPECT_FALSE(f.by_name.contains("kld"));
  EXPECT_EQ(to_json(f)["top1"]["fp32"], 100);
  EXPECT_EQ(to_json(f).dump(), to_json(make_figures(build, reference, 5)).dump());
  EXPECT_EQ(make_figures({}, {}, 1).by_name.size(), 0U);
}

}  // namespace
}  // namespace narrow::verify
