#include "bench/bench.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "ir/text.h"

namespace narrow::bench {
namespace {

TEST(Summarize, Percentiles) {
  Record r;
  for (int i = 100; i >= 0; --i) r.samples_ms.push_back(i + 1);  // 1 to 101, backwards
  summarize(r, 4);
  EXPECT_EQ(r.median_ms, 51);
  EXPECT_EQ(r.p90_ms, 91);
  EXPECT_EQ(r.p99_ms, 100);
  EXPECT_EQ(r.spread, 80 / 51.0);
  EXPECT_EQ(r.throughput, 4 * 1000 / 51.0);
  EXPECT_EQ(r.samples_ms.front(), 101);  // raw samples keep their order
  Record one{.name = "x", .samples_ms = {2}};
  summarize(one, 1);
  EXPECT_EQ(one.median_ms, 2);
  EXPECT_EQ(one.p99_ms, 2);
  EXPECT_EQ(one.spread, 0);
  Record none;
  summarize(none, 1);
  EXPECT_EQ(none.median_ms, 0);
  EXPECT_EQ(none.throughput, 0);
}

TEST(ToJson, HasWhatScriptsRead) {
  const Json json = to_json(Record{.name = "x", .samples_ms = {1, 2}, .median_ms = 1.5});
  for (const char* key : {"median_ms", "p90_ms", "p99_ms", "throughput", "load_ms", "first_ms", "rss_mb",
                          "arena_bytes", "bytes"})
    EXPECT_TRUE(json.contains(key)) << key;
  EXPECT_FALSE(json.contains("samples_ms"));
  EXPECT_EQ(to_json(Record{.name = "x", .samples_ms = {1, 2}}, true)["samples_ms"].size(), 2U);
}

TEST(PeakRss, CountsWhatWasTouchedAndNeverFalls) {
  constexpr size_t kBytes = size_t{64} << 20;
  { const std::vector<char> touched(kBytes, 1); }
  const double peak = peak_rss_mb();
  EXPECT_GT(peak, 64);
  EXPECT_LT(peak, 4096);  // megabytes, not kilobytes
  EXPECT_GE(peak_rss_mb(), peak);
}

TEST(RandomInputs, PickFromTheTablesOfTheModel) {
  const auto graph = ir::parse(
      "graph g(%ids: s64[N,40]) {\n  @t: f32[3,2] = [1, 2, 3, 4, 5, 6]\n"
      "  %i: s32[N,40] = Cast(%ids) {to=6}\n  %y: f32[N,40,2] = Gather(@t, %i)\n  return %y as \"y\"\n}\n");
  ASSERT_TRUE(graph.ok()) << graph.error().message();
  const std::vector<int64_t> ids = to_ints(random_inputs(*graph, 2, 5, 1).at("ids"));
  EXPECT_EQ(*std::max_element(ids.begin(), ids.end()), 2);
  EXPECT_EQ(*std::min_element(ids.begin(), ids.end()), 0);
}

TEST(RandomInputs, TheBatchOfAStateIsThatOfTheInput) {
  const auto graph = ir::parse(
      "graph g(%x: f32[N,T], %h: f32[2,N,8]) {\n  %y: f32[N,T] = Relu(%x)\n  %z: f32[2,N,8] = Relu(%h)\n"
      "  return %y as \"y\", %z as \"z\"\n}\n");
  ASSERT_TRUE(graph.ok()) << graph.error().message();
  const TensorMap inputs = random_inputs(*graph, 3, 5, 1);
  EXPECT_EQ(inputs.at("x").shape(), (Shape{3, 5}));
  EXPECT_EQ(inputs.at("h").shape(), (Shape{2, 3, 8}));
}

TEST(Measure, VisitsEveryContestantAndCountsNoWarmUp) {
  const auto graph = ir::parse(
      "graph g(%ids: s64[N,3], %mask: f32[N,K]) {\n  %y: s64[N,3] = Abs(%ids)\n"
      "  %z: f32[N,K] = Relu(%mask)\n  return %y as \"y\", %z as \"z\"\n}\n");
  ASSERT_TRUE(graph.ok()) << graph.error().message();
  const TensorMap inputs = random_inputs(*graph, 2, 5, 1);
  EXPECT_EQ(inputs.at("ids").shape(), (Shape{2, 3}));
  EXPECT_EQ(inputs.at("ids").dtype(), DType::s64);
  EXPECT_EQ(inputs.at("mask").shape(), (Shape{2, 5}));
  for (const float x : to_floats(inputs.at("mask"))) EXPECT_EQ(x, 1);
  EXPECT_TRUE(random_inputs(*graph, 2, 5, 1).at("ids").same_bits(inputs.at("ids")));
  auto pool = std::make_shared<ThreadPool>(1);
  auto a = runtime::Session::create(*graph, pool), b = runtime::Session::create(*graph, pool);
  const auto records = measure(
      {{.name = "a", .session = &*a, .inputs = inputs}, {.name = "b", .session = &*b, .inputs = inputs}},
      {.seconds = 0, .rounds = 3, .batch = 2});
  ASSERT_TRUE(records.ok()) << records.error().message();
  ASSERT_EQ(records->size(), 2U);
  for (const Record& r : *records) {
    EXPECT_EQ(r.samples_ms.size(), 3U);
    EXPECT_GT(r.median_ms, 0);
    EXPECT_GT(r.rss_mb, 0);
  }
  EXPECT_EQ(environment(3)["threads"], 3);
}

}  // namespace
}  // namespace narrow::bench
