#include "verify/gate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace narrow::verify {
namespace {

using Form = Gate::Form;
using Op = Gate::Op;
using Verdict = GateResult::Verdict;

TEST(ParseGate, TheFormsThereAre) {
  struct Case {
    const char* text;
    const char* metric;
    Form form;
    Op op;
    double bound;
    const char* unit;
  };
  for (const Case& c : {Case{"top1.drop<=0.5pp", "top1", Form::drop, Op::le, 0.5, "pp"},
                        {"top1.drop<=1%", "top1", Form::drop, Op::le, 1, "%"},
                        {" top1 . drop < = 1 % ", "top1", Form::drop, Op::le, 1, "%"},
                        {"top5>70%", "top5", Form::value, Op::gt, 70, "%"},
                        {"f1.rise>=-2pp", "f1", Form::rise, Op::ge, -2, "pp"},
                        {"agreement>=99%", "agreement", Form::value, Op::ge, 99, "%"},
                        {"margin.drop<=5%", "margin", Form::drop, Op::le, 5, "%"},
                        {"margin_halved<=2%", "margin_halved", Form::value, Op::le, 2, "%"},
                        {"perplexity.rise<=1%", "perplexity", Form::rise, Op::le, 1, "%"},
                        {"perplexity.rise<0.1", "perplexity", Form::rise, Op::lt, 0.1, ""},
                        {"perplexity<20", "perplexity", Form::value, Op::lt, 20, ""},
                        {"mae.rise<=2%", "mae", Form::rise, Op::le, 2, "%"},
                        {"rmse<=1e-3", "rmse", Form::value, Op::le, 1e-3, ""},
                        {"kld<=0.01", "kld", Form::value, Op::le, 0.01, ""},
                        {"cosine>=.99", "cosine", Form::value, Op::ge, 0.99, ""},
                        {"sqnr>=20dB", "sqnr", Form::value, Op::ge, 20, "dB"},
                        {"p99<=10ms", "p99", Form::value, Op::le, 10, "ms"},
                        {"size<=0.3x", "size", Form::value, Op::le, 0.3, "x"},
                        {"speedup>=1.0x", "speedup", Form::value, Op::ge, 1, "x"},
                        {"metric>0.9", "metric", Form::value, Op::gt, 0.9, ""},
                        {"metric.drop<=1%", "metric", Form::drop, Op::le, 1, "%"}}) {
    const auto gate = parse_gate(c.text);
    ASSERT_TRUE(gate.ok()) << gate.error().message();
    EXPECT_EQ(gate->text, c.text);
    EXPECT_EQ(gate->metric, c.metric);
    EXPECT_EQ(gate->form, c.form) << c.text;
    EXPECT_EQ(gate->op, c.op) << c.text;
    EXPECT_EQ(gate->bound, c.bound);
    EXPECT_EQ(gate->unit, c.unit);
  }
}

TEST(ParseGate, ErrorsSayWhichPart) {
  for (const auto& [text, part] : {std::pair{"", "comparison"},
                                   {"top1", "comparison"},
                                   {"<=5%", "comparison"},
                                   {"top1=5%", "comparison"},
                                   {"top9<=5%", "'top9'"},
                                   {".drop<=5%", "''"},
                                   {"top1.fall<=5%", "'top1.fall'"},
                                   {"top1.drop.rise<=1pp", "'top1.drop'"},
                                   {"top1.rise.drop<=1pp", "'top1.rise'"},
                                   {"top1<=", "number"},
                                   {"top1<=x%", "number"},
                                   {"top1<=inf%", "number"},
                                   {"top1<=nan%", "number"},
                                   {"top1<=1e999%", "number"},
                                   {"top1<=>5%", "number"},
                                   {"top1<=5", "'%'"},
                                   {"top1<=5pp", "'%'"},
                                   {"top1.drop<=5", "'pp' or '%'"},
                                   {"top1.drop<=0.5ppp", "'ppp'"},
                                   {"p99<=10", "'ms'"},
                                   {"p99<=10s", "'ms'"},
                                   {"sqnr>=20", "'dB'"},
                                   {"size<=0.3", "'x'"},
                                   {"kld<=1%", "none"},
                                   {"mae.rise<=1pp", "'%' or none"},
                                   {"kld.rise<=1%", ".drop"},
                                   {"p99.rise<=1ms", ".drop"},
                                   {"size.drop<=1x", ".drop"},
                                   {"margin_halved.rise<=1%", ".drop"},
                                   {"agreement.drop<=1%", ".drop"}}) {
    const auto gate = parse_gate(text);
    ASSERT_FALSE(gate.ok()) << text;
    EXPECT_EQ(gate.error().code, Code::usage);
    EXPECT_THAT(gate.error().message(), testing::HasSubstr(part)) << text;
  }
}

Figure figure(double value, double reference, Interval change, double deviation = 10) {
  return {.value = value,
          .interval = {value - 1, value + 1},
          .reference = reference,
          .change = value - reference,
          .change_interval = change,
          .sample_deviation = deviation};
}

Result<GateResult> check(const char* text, const Figures& figures, Proof proof = Proof::point,
                         const Measured& m = {}) {
  return check_gate(*parse_gate(text), figures, m, proof);
}

TEST(CheckGate, PointAndIntervalVerdicts) {
  // top1 fell from 80 to 79, the change is between -2.5 and +0.5.
  const Figures f{.samples = 100, .by_name = {{"top1", figure(79, 80, {-2.5, 0.5})}}, .mcnemar_p = 1};
  struct Case {
    const char* gate;
    Verdict point, ci;
    double value;
  };
  for (const Case& c : {Case{"top1.drop<=1pp", Verdict::passed, Verdict::inconclusive, 1},
                        {"top1.drop<1pp", Verdict::failed, Verdict::inconclusive, 1},
                        {"top1.drop<=2.5pp", Verdict::passed, Verdict::passed, 1},
                        {"top1.drop<=3pp", Verdict::passed, Verdict::passed, 1},
                        {"top1.drop<=0.5pp", Verdict::failed, Verdict::inconclusive, 1},
                        {"top1.drop<=-1pp", Verdict::failed, Verdict::failed, 1},
                        {"top1.rise>=-1pp", Verdict::passed, Verdict::inconclusive, -1},
                        {"top1.rise>1pp", Verdict::failed, Verdict::failed, -1},
                        {"top1.drop<=1.25%", Verdict::passed, Verdict::inconclusive, 1.25},
                        {"top1.drop<=1.2%", Verdict::failed, Verdict::inconclusive, 1.25},
                        {"top1.drop<=3.2%", Verdict::passed, Verdict::passed, 1.25},
                        {"top1>=78%", Verdict::passed, Verdict::passed, 79},
                        {"top1>=78.5%", Verdict::passed, Verdict::inconclusive, 79},
                        {"top1>=81%", Verdict::failed, Verdict::failed, 79}}) {
    const auto point = check(c.gate, f, Proof::point), ci = check(c.gate, f, Proof::ci);
    ASSERT_TRUE(point.ok() && ci.ok()) << c.gate;
    EXPECT_EQ(point->verdict, c.point) << c.gate;
    EXPECT_EQ(ci->verdict, c.ci) << c.gate;
    EXPECT_NEAR(point->value, c.value, 1e-12) << c.gate;
    EXPECT_LE(ci->interval->low, ci->interval->high) << c.gate;
    EXPECT_EQ(c.ci != Verdict::inconclusive && ci->more_samples != 0, false) << c.gate;
  }
  // 1.96 * 10 / sqrt(n) = 0.5 at n = 1537; 100 are there.
  EXPECT_EQ(check("top1.drop<=1.5pp", f, Proof::ci)->more_samples, 1537 - 100);
  EXPECT_EQ(check("top1.drop<=0.5pp", f)->reason, "top1.drop 1 pp > 0.5 pp");
  EXPECT_EQ(check("top1.drop<=1.5pp", f)->reason, "top1.drop 1 pp <= 1.5 pp");
  EXPECT_EQ(to_json(*check("top1.drop<=1.5pp", f, Proof::ci))["verdict"], "inconclusive");
}

Figure counted(int64_t samples, int64_t lost, int64_t gained) {
  Figure f = figure(80, 80 + 100.0 * static_cast<double>(lost - gained) / static_cast<double>(samples), {});
  f.paired = PairedCounts{samples, lost, gained};
  f.change_interval = change_interval_of(f, 0.95);
  return f;
}

TEST(CheckGate, FewSamplesThatAgreeProveLittle) {
  // Nothing differs on 100 samples: up to 3.7 pp are open. On 2000: 0.19 pp.
  const Figures few{.samples = 100, .by_name = {{"top1", counted(100, 0, 0)}}, .mcnemar_p = 1},
      many{.samples = 2000, .by_name = {{"top1", counted(2000, 0, 0)}}, .mcnemar_p = 1};
  EXPECT_EQ(check("top1.drop<=0.5pp", few)->verdict, Verdict::passed);
  EXPECT_EQ(check("top1.drop<=0.5pp", few, Proof::ci)->verdict, Verdict::inconclusive);
  EXPECT_EQ(check("top1.drop<=0.5pp", many, Proof::ci)->verdict, Verdict::passed);
  EXPECT_EQ(check("top1.drop<=4pp", few, Proof::ci)->verdict, Verdict::passed);
}

TEST(CheckGate, VerdictAndPGoTogetherAtEveryLevel) {
  for (const int64_t lost : {0, 5, 12, 40})
    for (const double level : {0.9, 0.95, 0.99})
      for (const char* gate : {"top1.drop<=1pp", "top1.drop<=3pp", "top1.rise>=-2pp", "top1.drop<=4%"}) {
        const Figures f{.samples = 1000, .by_name = {{"top1", counted(1000, lost, 3)}}, .mcnemar_p = 1};
        const auto result = check_gate(*parse_gate(gate), f, {}, Proof::ci, level);
        ASSERT_TRUE(result.ok());
        EXPECT_EQ(result->verdict == Verdict::passed, *result->p <= (1 - level) / 2) << gate << " " << lost;
        EXPECT_EQ(result->verdict == Verdict::failed, *result->p > (1 + level) / 2) << gate << " " << lost;
        EXPECT_EQ(result->level, level);
      }
}

TEST(CheckGate, ResampledFiguresHaveAPToo) {
  Figure f = figure(10, 9, {});
  for (int i = 0; i < 999; ++i) f.resampled_change.push_back(i / 999.0);
  const Figures figures{.samples = 100, .by_name = {{"perplexity", f}}, .mcnemar_p = 1};
  EXPECT_NEAR(*check("perplexity.rise<=0.9", figures)->p, 0.1, 2e-3);
  EXPECT_NEAR(*check("perplexity.rise>=0.9", figures)->p, 0.9, 2e-3);
  EXPECT_NEAR(*check("perplexity.rise<=10%", figures)->p, 0.1, 2e-3);  // of 9
  EXPECT_EQ(*check("perplexity.rise<=2", figures)->p, 1 / 1000.0);     // never 0
}

TEST(CheckGate, F1WithoutAnyChangeIsOpen) {
  const Figures f{.samples = 100, .by_name = {{"f1", figure(80, 80, {0, 0})}}, .mcnemar_p = 1};
  EXPECT_EQ(check("f1.drop<=1pp", f)->verdict, Verdict::passed);
  EXPECT_EQ(check("f1.drop<=1pp", f, Proof::ci)->verdict, Verdict::inconclusive);
}

TEST(CheckGate, AnIntervalThatMissesItsOwnValueProvesNothing) {
  const Figures f{.samples = 100, .by_name = {{"perplexity", figure(10, 9, {1.5, 2})}}, .mcnemar_p = 1};
  EXPECT_EQ(check("perplexity.rise<=1.2", f)->verdict, Verdict::passed);
  EXPECT_EQ(check("perplexity.rise<=1.2", f, Proof::ci)->verdict, Verdict::inconclusive);
}

TEST(CheckGate, MeasuredAndCustomQuantities) {
  const Measured m{.p50_ms = 2,
                   .p90_ms = 3,
                   .p99_ms = 4,
                   .size_ratio = 0.25,
                   .speedup = 3,
                   .custom = 0.9,
                   .custom_reference = 1.0};
  for (const auto& [gate, verdict] : {std::pair{"p50<=2ms", Verdict::passed},
                                      {"p90<3ms", Verdict::failed},
                                      {"p99<=5ms", Verdict::passed},
                                      {"size<=0.3x", Verdict::passed},
                                      {"speedup>=4x", Verdict::failed},
                                      {"metric>=0.9", Verdict::passed},
                                      {"metric.drop<=5%", Verdict::failed},
                                      {"metric.drop<=11%", Verdict::passed},
                                      {"metric.drop<=0.2", Verdict::passed}}) {
    const auto result = check(gate, {}, Proof::ci, m);
    ASSERT_TRUE(result.ok()) << gate;
    EXPECT_EQ(result->verdict, verdict) << gate;
  }
}

TEST(CheckGate, WhatCannotBeComputedIsAnErrorAndNaNFails) {
  for (const char* gate :
       {"top1.drop<=1pp", "perplexity<=9", "mae<=1", "p99<=1ms", "size<=1x", "metric>=0"}) {
    const auto result = check(gate, {});
    ASSERT_FALSE(result.ok()) << gate;
    EXPECT_EQ(result.error().code, Code::invalid_argument);
  }
  const double nan = std::nan("");
  const Figures f{.samples = 9, .by_name = {{"kld", figure(nan, nan, {nan, nan}, nan)}}, .mcnemar_p = 1};
  for (const char* gate : {"kld<=1", "kld>=0", "kld<1", "kld>0"})
    for (const Proof proof : {Proof::point, Proof::ci})
      EXPECT_EQ(check(gate, f, proof)->verdict, Verdict::failed) << gate;
}

}  // namespace
}  // namespace narrow::verify
