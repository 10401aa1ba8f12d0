#include "runtime/tactics.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "artifact/artifact.h"
#include "artifact/ledger.h"
#include "base/file.h"
#include "base/json_text.h"
#include "runtime/session.h"
#include "runtime/tactic_cache.h"
#include "runtime/test_graphs.h"
#include "runtime/test_merging.h"

namespace narrow::runtime {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing_graphs::graph_from;
using testing_graphs::inputs_for;

constexpr const char* kProduct = R"(graph g(%x: f32[N,32]) {
  @w: f32[32,64] = blob 0 8192
  %y = MatMul(%x, @w)
  return %y as "y"
}
)";

class TacticsFolder : public testing::Test {
 protected:
  fs::path folder_ = fs::path(testing::TempDir()) / ("narrow_tactics_" + std::to_string(::getpid()));
  void TearDown() override { fs::remove_all(folder_); }
  fs::path only_file() const { return fs::directory_iterator(folder_)->path(); }
};

TEST(Tactics, ComeBackFromJson) {
  const Tactics tactics{machine_key(Isa::avx2), {{"y", {{"a", 1.5}, {"b", 2}}}, {"z", {{"c", 3}}}}};
  const Tactics back = tactics_from_json(to_json(tactics));
  EXPECT_EQ(back.machine, tactics.machine);
  EXPECT_EQ(to_json(back), to_json(tactics));
}

/// Which convolutions go together depends on zero points, and on scales behind what is neither none nor relu.
TEST(Tactics, MergingIsAskedOfFormatsToo) {
  const auto key = [](const char* scale, int zero, const char* activation) {
    return PlanKeys(graph_from(fmt::format(R"(graph g(%x: u8[1,2,2,2]<0.5,3>) {{
  @w: s8[1,2,1,1]<0.25,0> = [7, 8]
  %y: u8[1,2,2,1]<{},{}> = FusedConv(%x, @w) {{activation="{}", channels_last=1, out_dtype="u8"}}
  return %y as "y"
}}
)",
                                           scale, zero, activation)))
        .merging;
  };
  EXPECT_EQ(key("0.5", 1, "relu"), key("0.25", 1, "relu"));
  EXPECT_NE(key("0.5", 1, "relu"), key("0.5", 2, "relu"));
  EXPECT_NE(key("0.5", 1, "silu"), key("0.25", 1, "silu"));
  EXPECT_EQ(key("0.5", 1, "silu"), key("0.5", 1, "silu"));
}

TEST(Tactics, WhatIsNoTacticIsPassedOver) {
  for (const char* text :
       {"[]", "7", "{}", R"({"machine": 3})", R"({"machine": "m", "cases": []})",
        R"({"machine": "m", "cases": {"y": 3, "z": [1, {"kernel": "a"}, {"kernel": 1, "us": 2}]}})"}) {
    const auto json = parse_json(text, "text");
    ASSERT_TRUE(json.ok());
    EXPECT_TRUE(tactics_from_json(*json).cases.empty()) << text;
  }
}

TEST_F(TacticsFolder, CacheRemembersPerMachineAndThreads) {
  {
    TacticCache cache(folder_ / "deep", Isa::avx2, 2);
    EXPECT_EQ(cache.find("case"), nullptr);
    cache.add("case", {{"fast", 1}, {"slow", 2}});
    cache.save();
  }
  folder_ /= "deep";
  const TacticCache same(folder_, Isa::avx2, 2), threads(folder_, Isa::avx2, 1), isa(folder_, Isa::avx512, 2);
  ASSERT_NE(same.find("case"), nullptr);
  EXPECT_EQ((*same.find("case"))[0].kernel, "fast");
  EXPECT_EQ(threads.find("case"), nullptr);
  EXPECT_EQ(isa.find("case"), nullptr);
  std::ofstream(only_file()) << "{\"machine\": ";
  EXPECT_EQ(TacticCache(folder_, Isa::avx2, 2).find("case"), nullptr);
  folder_ = folder_.parent_path();
}

TEST_F(TacticsFolder, AFolderThatCannotBeIsNoCache) {
  fs::create_directories(folder_);
  std::ofstream(folder_ / "file") << "x";
  TacticCache cache(folder_ / "file" / "below", Isa::avx2, 2);
  cache.add("case", {{"fast", 1}, {"slow", 2}});
  cache.save();
  EXPECT_NE(cache.find("case"), nullptr);
}

TEST_F(TacticsFolder, TunedSessionsSayWhatLost) {
  if (usable_isa() < Isa::avx512) GTEST_SKIP() << "one vector kernel for a float product: nothing to choose";
  const ir::Graph graph = graph_from(kProduct);
  auto session = Session::create(graph, std::make_shared<ThreadPool>(1));
  ASSERT_TRUE(session.ok());
  const std::map<std::string, Shape> shapes = {{"x", {2, 32}}};
  TacticCache cache(folder_, usable_isa(), 1);
  ASSERT_TRUE(session->tune(shapes, cache).ok());
  ASSERT_EQ(session->tactics()->cases.size(), 1U);
  const Tactic& tactic = session->tactics()->cases.begin()->second;
  ASSERT_GE(tactic.size(), 2U);
  for (const Trial& trial : tactic) EXPECT_GT(trial.microseconds, 0);
  const auto info = session->plan_info(shapes);
  ASSERT_TRUE(info.ok());
  EXPECT_EQ(info->steps[0].kernel, tactic[0].kernel);
  EXPECT_TRUE(info->steps[0].timed_us.has_value());
  EXPECT_THAT(info->steps[0].rejected[0].reason, HasSubstr("takes"));
}

/// Shapes that the model computes out of its inputs' shapes are known once these are; those out of data are
/// not.
TEST_F(TacticsFolder, TunedWhereShapesFollowFromTheInputs) {
  if (usable_isa() < Isa::avx512) GTEST_SKIP() << "one vector kernel for a float product: nothing to choose";
  const auto cases = [&](const char* shape) {
    const ir::Graph graph = graph_from(fmt::format(R"(graph g(%x: f32[N,32]) {{
  @w: f32[32,64] = blob 0 8192
  @all: s64[1] = [-1]
  %y = MatMul(%x, @w)
  {}
  %z = Reshape(%y, %s)
  return %z as "z"
}}
)",
                                                   shape));
    Session session = Session::create(graph, std::make_shared<ThreadPool>(1)).value();
    TacticCache cache(folder_, usable_isa(), 1);
    EXPECT_TRUE(session.tune({{"x", {2, 32}}}, cache).ok());
    return session.tactics() == nullptr ? size_t{0} : session.tactics()->cases.size();
  };
  EXPECT_EQ(cases("%s = Shape(%y)"), 1U);
  EXPECT_EQ(cases("%n = NonZero(%x)\n  %m = Shape(%n) {start=0, end=0}\n  %s = Concat(%m, @all) {axis=0}"),
            1U);
  EXPECT_EQ(cases("%m = ReduceMax(%x) {keepdims=0}\n  %c = Cast(%m) {to=7}\n  %r = Reshape(%c, @all)\n"
                  "  %o = Sub(%r, %r)\n  %s = Add(%o, @all)"),
            0U);
}

/// The cache decides, whatever the clock would say.
TEST_F(TacticsFolder, TheCacheAndTheArtifactAreBelieved) {
  if (usable_isa() < Isa::avx512) GTEST_SKIP() << "one vector kernel for a float product: nothing to choose";
  const ir::Graph graph = graph_from(kProduct);
  const auto pool = std::make_shared<ThreadPool>(1);
  const std::map<std::string, Shape> shapes = {{"x", {2, 32}}};
  const auto tuned = [&](TacticCache& cache) {
    Session session = Session::create(graph, pool).value();
    EXPECT_TRUE(session.tune(shapes, cache).ok());
    return session;
  };
  {
    TacticCache cache(folder_, usable_isa(), 1);
    (void)tuned(cache);
    cache.save();
  }
  std::string text(MappedFile::open(only_file()).value()->text());
  auto json = parse_json(text, "cache");
  ASSERT_TRUE(json.ok() && (*json)["cases"].size() == 1);
  Json& trials = (*json)["cases"].begin().value();
  const std::string usual = Session::create(graph, pool)->plan_info(shapes)->steps[0].kernel;
  if (trials[0]["kernel"] == usual) std::swap(trials[0], trials[1]);
  const auto wanted = trials[0]["kernel"].get<std::string>();
  ASSERT_TRUE(write_file(only_file(), json->dump()).ok());
  TacticCache cache(folder_, usable_isa(), 1);
  Session session = tuned(cache);
  EXPECT_EQ(session.plan_info(shapes)->steps[0].kernel, wanted);
  // What the artifact keeps, on this machine and on another.
  Tactics kept = *session.tactics();
  const fs::path path = folder_ / "a.narrow";
  for (const bool here : {true, false}) {
    if (!here) kept.machine = "another";
    ASSERT_TRUE(
        artifact::write(
            path, {.graph = graph.clone(), .about = {{"tactics", to_json(kept)}}, .packed = {}, .engine = {}})
            .ok());
    auto opened = Session::open(path, pool);
    ASSERT_TRUE(opened.ok());
    EXPECT_EQ(opened->plan_info(shapes)->steps[0].kernel == wanted, here);
  }
}

/// What was timed of a choice made for a whole plan, of two answers, and kept in the cache; null: nothing.
Tactic* timed_choice(Tactics& tactics, const TacticCache& cache, const std::string& prefix) {
  for (auto& [key, tactic] : tactics.cases) {
    if (!key.starts_with(prefix)) continue;
    EXPECT_NE(cache.find(key), nullptr);
    EXPECT_EQ(tactic.size(), 2U);
    for (const Trial& trial : tactic) EXPECT_GT(trial.microseconds, 0);
    return &tactic;
  }
  return nullptr;
}

/// Timed as a whole; what won is what runs.
TEST_F(TacticsFolder, BandsAreTakenWhereTheyWon) {
  const ir::Graph graph = graph_from(R"(graph g(%x: f32[N,4,128,128]) {
  @w: f32[16,4,3,3] = blob 0 2304
  @v: f32[4,16,1,1] = blob 4096 256
  %a = Conv(%x, @w) {pads=[1,1,1,1]}
  %b = Relu(%a)
  %c = Conv(%b, @v)
  return %c as "c"
}
)");
  const auto pool = std::make_shared<ThreadPool>(1);
  const std::map<std::string, Shape> shapes = {{"x", {1, 4, 128, 128}}};
  SessionOptions options;
  options.slices = {.cache_bytes = 200 << 10, .step = 1e3, .pass = 1, .bands_from = 1};
  const auto most_bands = [&] {
    const PlanInfo info = Session::create(graph, pool, options)->plan_info(shapes).value();
    int64_t most = 0;
    for (const StepChoice& step : info.steps) most = std::max(most, step.bands);
    return most;
  };
  EXPECT_GT(most_bands(), 1);
  TacticCache cache(folder_, usable_isa(), 1);
  Session session = Session::create(graph, pool, options).value();
  ASSERT_TRUE(session.tune(shapes, cache).ok());
  Tactics tactics = *session.tactics();
  Tactic* timed = timed_choice(tactics, cache, "Bands of");
  ASSERT_NE(timed, nullptr);
  for (const char* won : {kInBands, kWholeImages}) {
    if (timed->at(0).kernel != won) std::swap(timed->at(0), timed->at(1));
    EXPECT_EQ(timed->at(0).kernel, won);
    options.tactics = std::make_shared<Tactics>(tactics);
    EXPECT_EQ(most_bands() > 1, won == std::string(kInBands));
  }
}

/// Timed as a whole; what won is what runs, with the same bits.
TEST_F(TacticsFolder, WeightsAreFetchedAheadWhereThatWon) {
  const ir::Graph graph = graph_from(testing_graphs::split_graph("30,20"));
  const auto pool = std::make_shared<ThreadPool>(2);
  const TensorMap inputs = testing_graphs::inputs_for(graph, 4, 1);
  const std::map<std::string, Shape> shapes = {{"x", inputs.at("x").shape()}};
  SessionOptions options;
  Session session = Session::create(graph, pool, options).value();
  EXPECT_FALSE(session.plan_info(shapes)->fetches_ahead);
  const TensorMap wanted = session.run(inputs).value();
  TacticCache cache(folder_, usable_isa(), 2);
  ASSERT_TRUE(session.tune(shapes, cache).ok());
  Tactics tactics = *session.tactics();
  Tactic* timed = timed_choice(tactics, cache, "Weights of");
  ASSERT_NE(timed, nullptr);
  for (const char* won : {kFetchedAhead, kOnDemand}) {
    if (timed->at(0).kernel != won) std::swap(timed->at(0), timed->at(1));
    options.tactics = std::make_shared<Tactics>(tactics);
    Session chosen = Session::create(graph, pool, options).value();
    const PlanInfo info = chosen.plan_info(shapes).value();
    EXPECT_EQ(info.fetches_ahead, won == std::string(kFetchedAhead));
    ASSERT_EQ(info.choices.size(), 1U);
    EXPECT_EQ(info.choices[0][0].kernel, won);
    const TensorMap outputs = chosen.run(inputs).value();
    for (const auto& [name, tensor] : wanted) EXPECT_TRUE(outputs.at(name).same_bits(tensor)) << name;
  }
}

/// A model in a format whose parallel convolutions are merged.
class Merging : public TacticsFolder, public testing::WithParamInterface<const char*> {
 protected:
  const std::string format_ = GetParam();
  const ir::Graph graph_ =
      graph_from(format_ == "int8" ? testing_graphs::parallel_int8_graph()
                                   : testing_graphs::parallel_float_graph(format_ == "bf16"));
  const std::shared_ptr<ThreadPool> pool_ = std::make_shared<ThreadPool>(2);
  const TensorMap inputs_ = inputs_for(graph_, 4, 1);
  const std::map<std::string, Shape> shapes_ = {{"x", inputs_.at("x").shape()}};

  Session session(const SessionOptions& options = {}) {
    return Session::create(graph_, pool_, options).value();
  }
  void expect_result_of(Session& other, const TensorMap& inputs) {
    const TensorMap wanted = session().run(inputs).value(), got = other.run(inputs).value();
    for (const auto& [name, tensor] : wanted) EXPECT_TRUE(got.at(name).same_bits(tensor)) << name;
  }
};
INSTANTIATE_TEST_SUITE_P(Formats, Merging, testing::Values("int8", "bf16", "f32"),
                         [](const auto& test) { return std::string(test.param); });

/// One convolution, of which a step behind reads each piece where it lies; not one bit is another.
TEST_P(Merging, ChangesNoBit) {
  for (const Isa isa : {Isa::plain, Isa::avx2, Isa::avx512_vnni, usable_isa()}) {
    if (!runs_here(isa)) continue;
    SCOPED_TRACE(to_string(isa));
    SessionOptions options;
    options.max_isa = isa;
    Session apart = session(options);
    EXPECT_EQ(testing_graphs::merged_steps(apart, shapes_), 0);
    options.tactics = testing_graphs::merging_tactics(apart, shapes_, isa);
    Session as_one = session(options);
    EXPECT_EQ(testing_graphs::merged_steps(as_one, shapes_), 1);
    const PlanInfo info = as_one.plan_info(shapes_).value();
    for (const StepChoice& step : info.steps) {
      if (step.op == "Split") {
        EXPECT_EQ(step.kernel, "alias");
      }
      if (step.merged.empty()) continue;
      EXPECT_EQ(step.node, format_ == "int8" ? "one+two+three" : "one+two");
      EXPECT_EQ(step.merged[0].first, "one");
      EXPECT_DOUBLE_EQ(step.merged[0].second, 0.5);
    }
    const TensorMap wanted = apart.run(inputs_).value(), got = as_one.run(inputs_).value();
    for (const auto& [name, tensor] : wanted) EXPECT_TRUE(got.at(name).same_bits(tensor)) << name;
  }
}

/// The cache decides, whatever the clock would say; without it the clock does, and the cache remembers.
TEST_P(Merging, IsTakenWhereItWon) {
  Session timed = session();
  TacticCache cache(folder_, usable_isa(), 2);
  ASSERT_TRUE(timed.tune(shapes_, cache).ok());
  Session apart = session();
  const std::string key = PlanKeys(*apart.engine_graph(shapes_).value()).merging;
  ASSERT_TRUE(timed.tactics()->cases.contains(key));
  ASSERT_NE(cache.find(key), nullptr);
  ASSERT_EQ(cache.find(key)->size(), 2U);
  for (const Trial& trial : *cache.find(key)) EXPECT_GT(trial.microseconds, 0);
  // Of floats, another shape may have another kernel, which sums in another order.
  if (format_ == "int8") expect_result_of(timed, inputs_);
  for (const char* won : {kMerged, kApart}) {
    SCOPED_TRACE(won);
    cache.add(key, {{won, 1}, {won == std::string(kMerged) ? kApart : kMerged, 2}});
    Session chosen = session();
    ASSERT_TRUE(chosen.tune(shapes_, cache).ok());
    EXPECT_EQ(testing_graphs::merged_steps(chosen, shapes_), won == std::string(kMerged) ? 1 : 0);
    const PlanInfo info = chosen.plan_info(shapes_).value();
    EXPECT_TRUE(std::any_of(info.choices.begin(), info.choices.end(),
                            [&](const Tactic& choice) { return choice[0].kernel == won; }));
    if (format_ == "int8") expect_result_of(chosen, inputs_);
  }
}

/// A file keeps the merged graph and its weights as the kernel reads them; for other shapes there is the
/// model as it was.
TEST_P(Merging, StaysInTheArtifact) {
  Session apart = session();
  SessionOptions options;
  options.tactics = testing_graphs::merging_tactics(apart, shapes_, usable_isa());
  Session as_one = session(options);
  const fs::path path = folder_ / "a.narrow";
  fs::create_directories(folder_);
  auto engine = as_one.engine_image(shapes_).value();
  ASSERT_TRUE(engine.has_value());
  ASSERT_TRUE(artifact::write(path, {.graph = graph_.clone(),
                                     .about = {{"tactics", to_json(*options.tactics)}},
                                     .packed = as_one.packed_constants(),
                                     .engine = std::move(engine)})
                  .ok());
  const auto package = artifact::read(path);
  ASSERT_TRUE(package.ok()) << package.error().message();
  constexpr int64_t kOutputs = 128;
  const auto has_merged = [](const std::vector<artifact::PackedConstant>& list) {
    return std::any_of(list.begin(), list.end(), [](const artifact::PackedConstant& packed) {
      return packed.spec.shape.oc == kOutputs && packed.constant.defined();
    });
  };
  EXPECT_EQ(has_merged(package->packed), has_merged(as_one.packed_constants()));
  if (std::string(GetParam()) == "int8") {  // kernels of half formats keep them on newer processors only
    EXPECT_TRUE(has_merged(package->packed) || usable_isa() == Isa::plain);
  }
  Session opened = Session::open(path, pool_).value();
  EXPECT_EQ(testing_graphs::merged_steps(opened, shapes_), 1);
  expect_result_of(opened, inputs_);
  const TensorMap three = inputs_for(graph_, 5, 3);
  EXPECT_EQ(testing_graphs::merged_steps(opened, {{"x", three.at("x").shape()}}), 0);
  expect_result_of(opened, three);
  // Who asks where the bytes are finds all of them.
  const auto ledger = artifact::read_ledger(path);
  ASSERT_TRUE(ledger.ok()) << ledger.error().message();
  EXPECT_GE(ledger->kinds.at(artifact::Bytes::engine), kOutputs * 64);
  EXPECT_EQ(static_cast<uintmax_t>(ledger->file), fs::file_size(path));
}

}  // namespace
}  // namespace narrow::runtime
