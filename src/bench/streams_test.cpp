#include "bench/streams.h"

#include <gtest/gtest.h>

#include "ir/text.h"

namespace narrow::bench {
namespace {

using Streams = std::vector<std::vector<Inference>>;

TEST(CommonWindow, CountsWhatLiesInsideAndPartsAtItsEdges) {
  // Together from 1 to 7 seconds: its edges cut the first inference of the first stream and its last.
  const Together together = common_window(Streams{{{0, 2}, {2, 3}, {3, 4}, {6, 8}}, {{1, 3}, {3, 7}}});
  EXPECT_DOUBLE_EQ(together.seconds, 6);
  EXPECT_DOUBLE_EQ(together.inferences, 0.5 + 1 + 1 + 0.5 + 2);
  EXPECT_EQ(together.latencies_ms, (std::vector<double>{2000, 1000, 1000, 2000, 4000}));
}

TEST(CommonWindow, StreamsThatNeverRanTogetherHaveNone) {
  const Together together = common_window(Streams{{{0, 1}}, {{2, 3}}});
  EXPECT_EQ(together.seconds, 0);
  EXPECT_EQ(together.inferences, 0);
  EXPECT_TRUE(together.latencies_ms.empty());
}

Result<ir::Graph> small_graph() {
  return ir::parse(
      "graph g(%x: f32[N,64]) {\n  %y: f32[N,64] = Relu(%x)\n  %z: f32[N,64] = Exp(%y)\n  return %z as "
      "\"z\"\n}\n");
}

/// A session of the graph on each pool.
std::vector<runtime::Session> open(const ir::Graph& graph,
                                   const std::vector<std::shared_ptr<ThreadPool>>& pools) {
  std::vector<runtime::Session> sessions;
  for (const auto& pool : pools) {
    auto session = runtime::Session::create(graph, pool);
    EXPECT_TRUE(session.ok()) << session.error().message();
    sessions.push_back(std::move(*session));
  }
  return sessions;
}

TEST(MeasureStreams, RunsEveryStreamOfEveryBuild) {
  const auto graph = small_graph();
  ASSERT_TRUE(graph.ok()) << graph.error().message();
  const std::vector<std::shared_ptr<ThreadPool>> pools = {
      std::make_shared<ThreadPool>(2), std::make_shared<ThreadPool>(1), std::make_shared<ThreadPool>(1)};
  auto a = open(*graph, pools), b = open(*graph, pools);
  const TensorMap inputs = random_inputs(*graph, 4, 1, 1);
  const auto records =
      measure_streams({{"a", {&a[0], &a[1], &a[2]}, inputs, 1, 10}, {"b", {&b[0], &b[1], &b[2]}, inputs}},
                      pools, {.seconds = 0.002, .rounds = 2, .batch = 4});
  ASSERT_TRUE(records.ok()) << records.error().message();
  ASSERT_EQ(records->size(), 2U);
  for (const Record& r : *records) {
    EXPECT_GE(r.samples_ms.size(), 6U);  // two visits, three streams, one inference at least
    EXPECT_GT(r.median_ms, 0);
    EXPECT_GE(r.p99_ms, r.median_ms);
    EXPECT_GT(r.throughput, 0);
    EXPECT_GT(r.first_ms, 0);
    EXPECT_GT(r.rss_mb, 0);
  }
  EXPECT_EQ((*records)[0].name, "a");
  EXPECT_GT((*records)[0].load_ms, 1);  // planning comes on top
  EXPECT_EQ((*records)[0].bytes, 10);
}

TEST(MeasureStreams, AnErrorOfAnyStreamEndsThemAll) {
  const auto graph = small_graph();
  ASSERT_TRUE(graph.ok()) << graph.error().message();
  const std::vector<std::shared_ptr<ThreadPool>> pools = {std::make_shared<ThreadPool>(1),
                                                          std::make_shared<ThreadPool>(1)};
  const auto other =
      ir::parse("graph g(%w: f32[N,64]) {\n  %z: f32[N,64] = Relu(%w)\n  return %z as \"z\"\n}\n");
  ASSERT_TRUE(other.ok()) << other.error().message();
  auto good = open(*graph, {pools[0]}), bad = open(*other, {pools[1]});
  const auto records = measure_streams({{"a", {&good[0], &bad[0]}, random_inputs(*graph, 4, 1, 1)}}, pools,
                                       {.seconds = 0.001});
  ASSERT_FALSE(records.ok());
  EXPECT_EQ(records.error().code, Code::invalid_data);
}

}  // namespace
}  // namespace narrow::bench
