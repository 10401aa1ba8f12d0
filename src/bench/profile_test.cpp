#include "bench/profile.h"

#include <gtest/gtest.h>

#include "bench/bench.h"
#include "ir/text.h"

namespace narrow::bench {
namespace {

/// Two products with constant weights and what lies between them, 2 x 3 -> 4 -> 2.
constexpr const char* kModel =
    "graph g(%x: f32[N,3]) {\n"
    "  @a: f32[3,4] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]\n"
    "  @b: f32[4,2] = [1, 2, 3, 4, 5, 6, 7, 8]\n"
    "  %h: f32[N,4] = MatMul(%x, @a)\n"
    "  %s: f32[N,4] = Softmax(%h)\n"
    "  %y: f32[N,2] = MatMul(%s, @b)\n"
    "  return %y as \"y\"\n}\n";

Profile profile_of(const ir::Graph& graph, int repetitions) {
  auto session = runtime::Session::create(graph, std::make_shared<ThreadPool>(1));
  EXPECT_TRUE(session.ok());
  auto result = profile(*session, random_inputs(graph, 2, 5, 1), repetitions);
  EXPECT_TRUE(result.ok()) << result.error().message();
  return std::move(*result);
}

TEST(Profile, HasEveryStepOfThePlanWithItsWork) {
  const auto graph = ir::parse(kModel);
  ASSERT_TRUE(graph.ok()) << graph.error().message();
  auto session = runtime::Session::create(*graph, std::make_shared<ThreadPool>(1));
  const auto info = session->plan_info({{"x", {2, 3}}});
  ASSERT_TRUE(info.ok());
  const Profile p = profile_of(*graph, 3);
  ASSERT_EQ(p.steps.size(), info->steps.size());
  double sum = 0;
  for (size_t i = 0; i < p.steps.size(); ++i) {
    EXPECT_EQ(p.steps[i].choice.kernel, info->steps[i].kernel);
    EXPECT_EQ(p.steps[i].choice.outputs, info->steps[i].outputs);
    EXPECT_GE(p.steps[i].ms, 0);
    EXPECT_FALSE(p.steps[i].name().empty());
    sum += p.steps[i].ms;
  }
  EXPECT_EQ(p.macs(), 2 * 3 * 4 + 2 * 4 * 2);
  EXPECT_DOUBLE_EQ(p.steps_ms, sum);
  EXPECT_GT(p.run_ms, 0);
  EXPECT_EQ(p.repetitions, 3);
}

TEST(Profile, OfAnInterpretedTailTimesItToo) {
  const auto graph = ir::parse(
      "graph g(%x: f32[4]) {\n  %r: f32[4] = Relu(%x)\n  %i: s64[1,M] = NonZero(%r)\n"
      "  %n: s64[1,M] = Neg(%i)\n  return %n as \"n\"\n}\n");
  ASSERT_TRUE(graph.ok()) << graph.error().message();
  const Profile p = profile_of(*graph, 2);
  ASSERT_EQ(p.steps.size(), 3U);
  EXPECT_EQ(p.steps[2].choice.op, "Neg");
  EXPECT_EQ(p.steps[2].bytes, 0);  // its shape is known at run time only
}

StepProfile step(const char* op, const char* kernel, double ms, int64_t macs, int64_t bytes) {
  StepProfile s;
  s.choice.node = op, s.choice.op = op, s.choice.kernel = kernel, s.choice.formats = {"f32"};
  s.arithmetic = macs > 0 ? Arithmetic::fp32 : Arithmetic::none;
  s.ms = ms, s.macs = macs, s.bytes = bytes;
  s.traced = {{.start_us = 7, .us = 2000 * ms}};
  return s;
}

Profile three_steps() {
  Profile p;
  p.steps = {step("Conv", "fast", 1, 3'000'000, 100), step("Relu", "unary", 4, 0, 200),
             step("Conv", "fast", 2, 1'000'000, 100)};
  p.steps_ms = 7, p.run_ms = 8, p.repetitions = 5;
  p.set_roofs({.fp32_gops = 60, .memory_gb_s = 1});
  return p;
}

TEST(Profile, KernelsAreSummedMostTimeFirst) {
  const auto kernels = by_kernel(three_steps());
  ASSERT_EQ(kernels.size(), 2U);
  EXPECT_EQ(kernels[0].kernel, "unary");
  EXPECT_EQ(kernels[1].steps, 2);
  EXPECT_EQ(kernels[1].macs, 4'000'000);
  EXPECT_EQ(kernels[1].bytes, 200);
  EXPECT_EQ(kernels[1].ms, 3);
}

TEST(Profile, JsonHasRatesAndShares) {
  const Json json = to_json(three_steps());
  EXPECT_DOUBLE_EQ(json["explained"].get<double>(), 7.0 / 8);
  EXPECT_EQ(json["macs"], 4'000'000);
  const Json& first = json["steps"][0];
  EXPECT_DOUBLE_EQ(first["gops"].get<double>(), 6);  // 6 * 10^6 operations in 1 ms
  EXPECT_DOUBLE_EQ(first["compute_share"].get<double>(), 0.1);
  EXPECT_DOUBLE_EQ(first["share"].get<double>(), 1.0 / 7);
  EXPECT_EQ(first["limit"], "compute");
  EXPECT_EQ(json["steps"][1]["limit"], "memory");
  EXPECT_EQ(json["kernels"].size(), 2U);
}

TEST(Profile, TraceHasACompleteEventPerStep) {
  const Json trace = to_trace(three_steps(), "m.onnx");
  ASSERT_EQ(trace["traceEvents"].size(), 3U);
  const Json& event = trace["traceEvents"][0];
  EXPECT_EQ(event["ph"], "X");
  EXPECT_EQ(event["name"], "Conv");
  EXPECT_EQ(event["ts"], 7);
  EXPECT_EQ(event["dur"], 2000);
  EXPECT_DOUBLE_EQ(event["args"]["gops"].get<double>(), 3);  // of this run: 6 * 10^6 operations in 2 ms
  EXPECT_EQ(event["args"]["bytes"], 100);
}

}  // namespace
}  // namespace narrow::bench
