#include "runtime/session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <set>

#include "artifact/artifact.h"
#include "artifact/container.h"
#include "base/file.h"
#include "runtime/reference/reference.h"
#include "runtime/test_graphs.h"

namespace narrow::runtime {
namespace {

using testing_graphs::distance;
using testing_graphs::graph_from;
using testing_graphs::GraphCase;
using testing_graphs::inputs_for;

Session session_of(const ir::Graph& graph, const SessionOptions& options = {}, int threads = 2) {
  auto session = Session::create(graph, std::make_shared<ThreadPool>(threads), options);
  EXPECT_TRUE(session.ok());
  return std::move(session).value();
}

SessionOptions up_to(Isa isa) {
  SessionOptions options;
  options.max_isa = isa;
  return options;
}
SessionOptions reference_only() {
  SessionOptions options;
  options.reference_only = true;
  return options;
}
SessionOptions observe_all() {
  SessionOptions options;
  options.observe_all = true;
  return options;
}

TensorMap run(Session& session, const TensorMap& inputs, Observer* observer = nullptr) {
  auto outputs = session.run(inputs, observer);
  EXPECT_TRUE(outputs.ok()) << (outputs.ok() ? "" : outputs.error().message());
  return outputs.ok() ? std::move(outputs).value() : TensorMap{};
}

void expect_near(const TensorMap& got, const TensorMap& wanted, double tolerance) {
  ASSERT_EQ(got.size(), wanted.size());
  for (const auto& [name, tensor] : wanted) {
    ASSERT_TRUE(got.contains(name));
    EXPECT_LE(distance(got.at(name), tensor), tolerance) << name;
  }
}

void expect_same_bits(const TensorMap& got, const TensorMap& wanted) {
  ASSERT_EQ(got.size(), wanted.size());
  for (const auto& [name, tensor] : wanted) EXPECT_TRUE(got.at(name).same_bits(tensor)) << name;
}

// Sums of at most 72 products and a handful of functions of a few units in the last place, several layers
// deep: 100 * 2^-24 of the largest value.
constexpr double kFloat = 100 * 0x1p-24;

class FloatGraph : public testing::TestWithParam<GraphCase> {};

TEST_P(FloatGraph, EveryBackendGivesTheReference) {
  const ir::Graph graph = graph_from(GetParam().text);
  const TensorMap inputs = inputs_for(graph, 3);
  const auto wanted = reference::run(graph, inputs);
  ASSERT_TRUE(wanted.ok()) << wanted.error().message();
  for (const Isa isa :
       {Isa::plain, Isa::avx2, Isa::avx2_vnni, Isa::avx512, Isa::avx512_vnni, Isa::avx512_bf16, Isa::amx}) {
    if (!runs_here(isa)) continue;
    SCOPED_TRACE(to_string(isa));
    Session session = session_of(graph, up_to(isa));
    expect_near(run(session, inputs), *wanted, kFloat);
  }
  Session plain = session_of(graph, reference_only()), observed = session_of(graph, observe_all());
  expect_near(run(plain, inputs), *wanted, kFloat);
  expect_near(run(observed, inputs), *wanted, kFloat);
}

TEST_P(FloatGraph, RunsIntoTheTensorsOfAnEarlierRun) {
  const ir::Graph graph = graph_from(GetParam().text);
  Session session = session_of(graph), other = session_of(graph);
  TensorMap outputs = run(session, inputs_for(graph, 6));
  for (const uint64_t seed : {7, 8}) {
    const Status done = session.run_into(inputs_for(graph, seed), outputs);
    ASSERT_TRUE(done.ok()) << (done.ok() ? "" : done.error().message());
    expect_same_bits(outputs, run(other, inputs_for(graph, seed)));
  }
}

TEST_P(FloatGraph, ThreadsAndRepetitionChangeNoBit) {
  const ir::Graph graph = graph_from(GetParam().text);
  const TensorMap inputs = inputs_for(graph, 4);
  Session one = session_of(graph, {}, 1);
  const TensorMap wanted = run(one, inputs);
  for (const int threads : {2, 3, 5}) {
    Session session = session_of(graph, {}, threads);
    expect_same_bits(run(session, inputs), wanted);
    expect_same_bits(run(session, inputs), wanted);
  }
}

/// Every float value of the portable graph is seen, with the number the reference gives it, in the model's
/// axes.
TEST_P(FloatGraph, ObserversSeeEveryValue) {
  struct Recorder final : Observer {
    void after(const ir::Node&, std::span<const ValueView> outputs) override {
      for (const ValueView& view : outputs)
        if (view.value->type.dtype == DType::f32) seen[view.value->origin] = view.to_reference();
    }
    TensorMap seen;
  };
  ir::Graph graph = graph_from(GetParam().text);
  const TensorMap inputs = inputs_for(graph, 5);
  Session session = session_of(graph, observe_all());
  Recorder recorder;
  run(session, inputs, &recorder);
  for (const ir::Node* node : graph.nodes())
    for (ir::Value* output : node->outputs())
      if (output->type.dtype == DType::f32) graph.add_output("value/" + output->name, output);
  const auto wanted = reference::run(graph, inputs);
  ASSERT_TRUE(wanted.ok()) << wanted.error().message();
  for (const auto& [name, tensor] : *wanted) {
    if (!name.starts_with("value/")) continue;
    ASSERT_TRUE(recorder.seen.contains(name.substr(6))) << name;
    EXPECT_LE(distance(recorder.seen.at(name.substr(6)), tensor), kFloat) << name;
  }
}

/// What an observer writes over a step's inputs is what the step computes with; the caller's tensors stay.
TEST_P(FloatGraph, ObserversMayReplaceInputs) {
  struct Zero final : Observer {
    void before(const ir::Node&, std::span<const ValueView> inputs) override {
      for (const ValueView& view : inputs)
        if (is_float(view.value->type.dtype))
          view.set_from_reference(Tensor::zeros(DType::f32, view.to_reference().shape()));
    }
  };
  const ir::Graph graph = graph_from(GetParam().text);
  const TensorMap inputs = inputs_for(graph, 6);
  TensorMap kept;
  for (const auto& [name, tensor] : inputs) kept[name] = tensor.clone();
  Session session = session_of(graph);
  const TensorMap before = run(session, inputs);
  Zero zero;
  run(session, inputs, &zero);
  expect_same_bits(inputs, kept);
  expect_same_bits(run(session, inputs), before);
}

INSTANTIATE_TEST_SUITE_P(Small, FloatGraph, testing::ValuesIn(testing_graphs::float_graphs()),
                         [](const auto& c) { return c.param.name; });

class NarrowGraph : public testing::TestWithParam<GraphCase> {};

TEST_P(NarrowGraph, IntegersAreEqualOnEveryBackend) {
  const ir::Graph graph = graph_from(GetParam().text);
  for (uint64_t seed = 0; seed < 5; ++seed) {
    const TensorMap inputs = inputs_for(graph, seed);
    Session plain = session_of(graph, reference_only());
    const TensorMap wanted = run(plain, inputs);
    for (const Isa isa :
         {Isa::plain, Isa::avx2, Isa::avx2_vnni, Isa::avx512, Isa::avx512_vnni, Isa::avx512_bf16, Isa::amx}) {
      if (!runs_here(isa)) continue;
      SCOPED_TRACE(to_string(isa));
      for (const int threads : {1, 3}) {
        Session session = session_of(graph, up_to(isa), threads);
        expect_same_bits(run(session, inputs), wanted);
      }
    }
  }
}

/// The engine's integers against the float meaning of the same Q/DQ graph: a product lies between two codes
/// up to float rounding, so a stored value may fall on the other side of a tie: one step, seldom.
TEST_P(NarrowGraph, MeansWhatTheStandardGraphMeans) {
  const ir::Graph graph = graph_from(GetParam().text);
  int64_t other = 0, all = 0;
  for (uint64_t seed = 0; seed < 10; ++seed) {
    const TensorMap inputs = inputs_for(graph, seed);
    Session session = session_of(graph);
    const Tensor got = run(session, inputs).at("y");
    const auto wanted = reference::run(graph, inputs);
    ASSERT_TRUE(wanted.ok()) << wanted.error().message();
    const auto a = to_floats(got), b = to_floats(wanted->at("y"));
    ASSERT_EQ(a.size(), b.size());
    for (size_t i = 0; i < a.size(); ++i, ++all) {
      EXPECT_LE(std::fabs(a[i] - b[i]), 0.0501) << i;  // the largest step stored
      other += a[i] != b[i];
    }
  }
  EXPECT_LE(other * 50, all);
}

TEST_P(NarrowGraph, RunsInIntegers) {
  const ir::Graph graph = graph_from(GetParam().text);
  Session session = session_of(graph);
  const auto engine = session.engine_graph({{"x", inputs_for(graph, 1).at("x").shape()}});
  ASSERT_TRUE(engine.ok());
  std::set<std::string> ops;
  for (const ir::Node* node : (*engine)->nodes()) ops.insert(ir::to_string(node->op()));
  EXPECT_TRUE(ops.contains("FusedConv") || ops.contains("FusedMatMul"));
  EXPECT_FALSE(ops.contains("Conv") || ops.contains("MatMul")) << testing::PrintToString(ops);
  for (const ir::Node* node : (*engine)->nodes())
    if (node->op() == ir::Op::FusedConv || node->op() == ir::Op::FusedMatMul) {
      EXPECT_TRUE(is_int8(node->input(0)->type.dtype)) << node->location();
    }
}

INSTANTIATE_TEST_SUITE_P(Small, NarrowGraph, testing::ValuesIn(testing_graphs::narrow_graphs()),
                         [](const auto& c) { return c.param.name; });

// ---------------------------------------------------------------- inputs

const char* const kTwoInputs = R"(graph g(%x: f32[N,3], %ids: s64[N,2]) {
  %y = Relu(%x)
  %z = Abs(%ids)
  return %y as "y", %z as "z"
}
)";

TEST(Session, WrongInputsAreErrorsThatNameThem) {
  Session session = session_of(graph_from(kTwoInputs));
  const Tensor x = Tensor::zeros(DType::f32, {2, 3}), ids = Tensor::zeros(DType::s64, {2, 2});
  const auto refused = [&](const TensorMap& inputs, const char* name) {
    const auto outputs = session.run(inputs);
    ASSERT_FALSE(outputs.ok());
    EXPECT_EQ(outputs.error().code, Code::invalid_data) << outputs.error().message();
    EXPECT_THAT(outputs.error().message(), testing::HasSubstr(name));
  };
  refused({}, "'x'");
  refused({{"x", x}}, "'ids'");
  refused({{"x", x}, {"ids", ids}, {"more", x}}, "'more'");
  refused({{"x", x}, {"ids", ids}, {"y", x}}, "'y'");
  refused({{"x", Tensor::zeros(DType::f32, {2, 4})}, {"ids", ids}}, "'x'");
  refused({{"x", Tensor::zeros(DType::f32, {2, 3, 1})}, {"ids", ids}}, "'x'");
  refused({{"x", Tensor::zeros(DType::f32, {})}, {"ids", ids}}, "'x'");
  refused({{"x", Tensor()}, {"ids", ids}}, "'x'");
  refused({{"x", x}, {"ids", Tensor::zeros(DType::f32, {2, 2})}}, "'ids'");
  refused({{"x", Tensor::zeros(DType::f32, {5, 3})}, {"ids", ids}}, "N");  // one symbol, two numbers
  Session free =
      session_of(graph_from("graph g(%x: f32[N], %z: f32[M]) {\n  %y = Relu(%x)\n  return %y as \"y\"\n}\n"));
  const auto unknown = free.plan_info({{"x", {2}}});  // M is not told
  ASSERT_FALSE(unknown.ok());
  EXPECT_THAT(unknown.error().message(), testing::HasSubstr("'z'"));
}

TEST(Session, OutputsOfOtherShapesAreAnError) {
  Session session = session_of(graph_from(kTwoInputs));
  const auto inputs = [](int64_t n) {
    return TensorMap{{"x", Tensor::zeros(DType::f32, {n, 3})}, {"ids", Tensor::zeros(DType::s64, {n, 2})}};
  };
  TensorMap outputs = run(session, inputs(2));
  EXPECT_TRUE(session.run_into(inputs(2), outputs).ok());
  EXPECT_EQ(session.run_into(inputs(3), outputs).error().code, Code::invalid_argument);
  outputs.erase("z");
  EXPECT_EQ(session.run_into(inputs(2), outputs).error().message(),
            "output 'z': expected a tensor s64[2,2], got none");
}

TEST(Session, CastsThatKeepTheKindAreMade) {
  Session session = session_of(graph_from(kTwoInputs));
  const TensorMap outputs = run(session, {{"x", Tensor::of<uint8_t>({1, 3}, {0, 7, 255})},
                                          {"ids", Tensor::of<int8_t>({1, 2}, {-3, 4})}});
  EXPECT_EQ(to_floats(outputs.at("y")), (std::vector<float>{0, 7, 255}));
  EXPECT_EQ(to_ints(outputs.at("z")), (std::vector<int64_t>{3, 4}));
}

TEST(Session, ServesManyShapesAndNone) {
  Session session = session_of(graph_from(kTwoInputs));
  for (const int64_t n : {1, 7, 2, 0, 7})
    EXPECT_EQ(
        run(session, {{"x", Tensor::zeros(DType::f32, {n, 3})}, {"ids", Tensor::zeros(DType::s64, {n, 2})}})
            .at("y")
            .shape(),
        (Shape{n, 3}));
}

/// Values between the channels of others: the same numbers as copied ones, for observers too.
TEST(Session, ConcatsWithoutCopiesChangeNoBit) {
  struct Recorder final : Observer {
    void after(const ir::Node&, std::span<const ValueView> outputs) override {
      for (const ValueView& view : outputs) seen[view.value->origin] = view.to_reference();
    }
    TensorMap seen;
  };
  const ir::Graph joined = graph_from(testing_graphs::concat_graph(true)),
                  apart = graph_from(testing_graphs::concat_graph(false));
  for (const int64_t batch : {1, 3}) {
    const TensorMap inputs = inputs_for(joined, 9, batch);
    Session with = session_of(joined), without = session_of(apart);
    EXPECT_TRUE(run(with, inputs).at("y").same_bits(run(without, inputs).at("y")));
    Recorder seen, wanted;
    run(with, inputs, &seen);
    run(without, inputs, &wanted);
    for (const char* name : {"aq", "bq", "cq"}) {
      if (!seen.seen.contains(name) || !wanted.seen.contains(name)) continue;
      EXPECT_TRUE(seen.seen.at(name).same_bits(wanted.seen.at(name))) << name;
    }
    const auto kernel_of_concat = [&](Session& session) {
      std::string kernel = "none";
      const auto info = session.plan_info({{"x", inputs.at("x").shape()}});
      for (const StepChoice& step : info->steps)
        if (step.op == "Concat") kernel = step.kernel;
      return kernel;
    };
    EXPECT_EQ(kernel_of_concat(with), "alias");
    EXPECT_EQ(kernel_of_concat(without), "copy");
  }
}

/// Runs on every instruction set, bit for bit as on the plain backend; calls f(how often each op got which
/// kernel: "Concat alias").
template <class F>
void expect_same_bits_everywhere(const std::string& text, F&& f) {
  const ir::Graph graph = graph_from(text);
  for (const int64_t batch : {1, 3}) {
    const TensorMap inputs = inputs_for(graph, 9, batch);
    Session plain = session_of(graph, reference_only());
    const TensorMap wanted = run(plain, inputs);
    for (const Isa isa : {Isa::plain, Isa::avx2, Isa::avx512_vnni, Isa::avx512_bf16, Isa::amx}) {
      if (!runs_here(isa)) continue;
      SCOPED_TRACE(to_string(isa));
      Session session = session_of(graph, up_to(isa));
      expect_same_bits(run(session, inputs), wanted);
      const auto info = session.plan_info({{"x", inputs.at("x").shape()}});
      std::map<std::string, int> kernels;
      for (const StepChoice& step : info->steps) ++kernels[step.op + " " + step.kernel];
      f(kernels);
    }
  }
}

/// Concats of Concats in one piece of memory, whose kernels read channels that are part of more.
TEST(Session, ChainsOfConcatsChangeNoBit) {
  expect_same_bits_everywhere(testing_graphs::dense_graph(), [](std::map<std::string, int>& kernels) {
    EXPECT_EQ(kernels["Concat alias"], 2);
    EXPECT_EQ(kernels["Concat copy"], 0);
  });
}

/// Channels that a Split or Slice cuts out, read where they are.
TEST(Session, SplitsOfChannelsChangeNoBit) {
  expect_same_bits_everywhere(testing_graphs::split_graph(), [](std::map<std::string, int>& kernels) {
    EXPECT_EQ(kernels["Concat alias"], 1);
    EXPECT_EQ(kernels["Split alias"], 1);
    EXPECT_EQ(kernels["Slice alias"], 1);
    EXPECT_EQ(kernels["Slice copy"], 1);  // a residual
  });
}

TEST(Session, PlanInfoExplainsItself) {
  const ir::Graph graph = graph_from(testing_graphs::float_graphs()[0].text);
  Session session = session_of(graph);
  const auto info = session.plan_info({{"x", {2, 4, 7, 9}}});
  ASSERT_TRUE(info.ok()) << info.error().message();
  EXPECT_GE(info->arena_bytes, info->arena_lower_bound);
  EXPECT_GT(info->weight_bytes, 0);
  for (const StepChoice& step : info->steps) {
    EXPECT_FALSE(step.kernel.empty()) << step.op;
    EXPECT_EQ(step.outputs.size(), step.formats.size());
    for (const auto& rejected : step.rejected) EXPECT_FALSE(rejected.reason.empty()) << rejected.kernel;
  }
}

TEST(Session, BadIndicesInDataAreErrors) {
  Session session = session_of(graph_from(testing_graphs::float_graphs()[5].text));
  for (const int64_t index : {int64_t{4}, int64_t{-5}, INT64_MAX, INT64_MIN}) {
    const auto outputs = session.run({{"ids", Tensor::of<int64_t>({1, 5}, {0, 1, index, 2, 3})}});
    ASSERT_FALSE(outputs.ok()) << index;
    EXPECT_EQ(outputs.error().code, Code::invalid_data);
  }
}

TEST(Session, MemoryThatRunsOutInARunIsAnError) {
  class Greedy : public Observer {
    void after(const ir::Node&, std::span<const ValueView>) override { throw std::bad_alloc(); }
  } greedy;
  Session session = session_of(graph_from(kTwoInputs));
  const TensorMap inputs = {{"x", Tensor::zeros(DType::f32, {2, 3})},
                            {"ids", Tensor::zeros(DType::s64, {2, 2})}};
  const TensorMap before = run(session, inputs);
  const auto outputs = session.run(inputs, &greedy);
  ASSERT_FALSE(outputs.ok());
  EXPECT_EQ(outputs.error().code, Code::unsupported);
  expect_same_bits(run(session, inputs), before);  // the session serves on
}

/// What a session of an artifact with packed weights and the engine's graph (for two samples) answers,
/// against one of the graph.
void expect_same_from_artifact(const GraphCase& given, Isa packed_for) {
  const auto path =
      std::filesystem::path(testing::TempDir()) / ("narrow_packed_" + std::to_string(::getpid()) + ".narrow");
  const ir::Graph graph = graph_from(given.text);
  Session maker = session_of(graph, up_to(packed_for));
  const TensorMap sample = inputs_for(graph, 1);
  ASSERT_TRUE(maker.run(sample).ok());
  std::map<std::string, Shape> shapes;
  for (const auto& [name, tensor] : sample) shapes[name] = tensor.shape();
  auto engine = maker.engine_image(shapes);
  ASSERT_TRUE(engine.ok());
  const artifact::Package package{
      .graph = graph.clone(), .about = {}, .packed = maker.packed_constants(), .engine = std::move(*engine)};
  ASSERT_TRUE(artifact::write(path, package).ok());
  for (const Isa isa : {Isa::plain, Isa::avx2, Isa::avx2_vnni, Isa::avx512_vnni, usable_isa()}) {
    if (!runs_here(isa)) continue;
    Session direct = session_of(graph, up_to(isa));
    auto opened = Session::open(path, std::make_shared<ThreadPool>(2), up_to(isa));
    ASSERT_TRUE(opened.ok()) << opened.error().message();
    for (const int64_t free : {1, 2, 3}) {
      const auto want = direct.run(inputs_for(graph, 2, free)), got = opened->run(inputs_for(graph, 2, free));
      ASSERT_TRUE(want.ok() && got.ok());
      for (const auto& [name, tensor] : *want)
        EXPECT_TRUE(got->at(name).same_bits(tensor)) << given.name << " " << name;
    }
  }
  std::filesystem::remove(path);
}

TEST(Session, AnswersTheSameFromPackedWeights) {
  for (const auto& cases : {testing_graphs::float_graphs(), testing_graphs::narrow_graphs()})
    for (const GraphCase& given : cases)
      for (const Isa isa : {Isa::plain, Isa::avx2, usable_isa()}) expect_same_from_artifact(given, isa);
}

/// Kernels of one batch size after another share packed weights and nothing that one of them owns.
TEST(Session, AnswersTheSameAfterAnotherBatchSize) {
  const ir::Graph graph = graph_from(R"(graph g(%x: f32[N,4,6,6]) {
  meta "narrow.activations" = "parabolas"
  @s: f32[] = [0.03]
  @z: u8[] = [120]
  @t: f32[] = [0.02]
  @o: u8[] = [20]
  @w: s8[4,4,1,1] = [1,-2,3,100,-50,60,7,8,-9,10,11,-12,127,-127,15,16]
  @ws: f32[4] = [0.01,0.02,0.003,0.015]
  %q = QuantizeLinear(%x, @s, @z)
  %d = DequantizeLinear(%q, @s, @z)
  %wd = DequantizeLinear(@w, @ws) {axis=0}
  %c = Conv(%d, %wd)
  %g = Sigmoid(%c)
  %m = Mul(%c, %g)
  %mq = QuantizeLinear(%m, @t, @o)
  %y = DequantizeLinear(%mq, @t, @o)
  return %y as "y"
}
)");
  for (const Isa isa : {Isa::plain, Isa::avx2, Isa::avx512_vnni, usable_isa()}) {
    if (!runs_here(isa)) continue;
    Session session = session_of(graph, up_to(isa));
    for (const int64_t batch : {1, 3, 2, 1}) {
      const TensorMap inputs = inputs_for(graph, 1, batch);
      Session fresh = session_of(graph, up_to(isa));
      expect_same_bits(run(session, inputs), run(fresh, inputs));
    }
  }
}

/// A file of a model with a free batch, with the engine's graph for two samples.
class SessionOfAFile : public testing::Test {
 protected:
  std::filesystem::path path_ =
      std::filesystem::path(testing::TempDir()) / ("narrow_opened_" + std::to_string(::getpid()) + ".narrow");
  const ir::Graph graph_ = graph_from(
      "graph g(%x: f32[N,32]) {\n  @w: f32[32,64] = blob 0 8192\n  %y = MatMul(%x, @w)\n  return %y as "
      "\"y\"\n}\n");

  void SetUp() override {
    Session maker = session_of(graph_);
    auto engine = maker.engine_image({{"x", {2, 32}}});
    ASSERT_TRUE(engine.ok() && engine->has_value());
    const artifact::Package package{.graph = graph_.clone(),
                                    .about = {},
                                    .packed = maker.packed_constants(),
                                    .engine = std::move(*engine)};
    ASSERT_TRUE(artifact::write(path_, package).ok());
  }
  void TearDown() override { std::filesystem::remove(path_); }
  Result<Session> open(const SessionOptions& options = {}) const {
    return Session::open(path_, std::make_shared<ThreadPool>(2), options);
  }
  /// Other texts in place of the graphs'.
  void replace(const std::optional<std::string>& portable, const std::optional<std::string>& engine) const {
    const auto file = MappedFile::open(path_).value();
    const auto found = artifact::unpack(file->bytes(), "x");
    ASSERT_TRUE(found.ok());
    const std::string blob(reinterpret_cast<const char*>(found->blob.data()), found->blob.size());
    const std::string_view first = portable ? std::string_view(*portable) : found->graph,
                           second = engine ? std::string_view(*engine) : found->engine;
    ASSERT_TRUE(write_file(path_, artifact::pack(blob, first, found->header, second)).ok());
  }
};

TEST_F(SessionOfAFile, ReadsThePortableGraphWhenSomebodyAsks) {
  replace("this is no graph", {});
  auto session = open();
  ASSERT_TRUE(session.ok()) << session.error().message();
  EXPECT_EQ(session->interface(), ir::interface_of(graph_));
  Session direct = session_of(graph_);
  const TensorMap two = inputs_for(graph_, 1, 2);
  expect_same_bits(run(*session, two), run(direct, two));
  const auto three = session->run(inputs_for(graph_, 1, 3));
  ASSERT_FALSE(three.ok());
  EXPECT_EQ(three.error().code, Code::invalid_model);
  EXPECT_EQ(session->graph().error().code, Code::invalid_model);
  expect_same_bits(run(*session, two), run(direct, two));  // the session serves on
  // Whoever observes all values starts from that graph.
  EXPECT_EQ(open(observe_all()).error().code, Code::invalid_model);
}

TEST_F(SessionOfAFile, TheEnginesGraphIsOfTheSameModel) {
  for (const char* engine : {"graph g() {\n  @c: f32[1] = [3]\n  return @c as \"y\"\n}\n",
                             "graph g(%x: s64[2,32]) {\n  return %x as \"y\"\n}\n",
                             "graph g(%x: f32[2,32]) {\n  return %x as \"z\"\n}\n",
                             "graph g(%x: f32[2,32]) {\n  return %x as \"y\", %x as \"z\"\n}\n"}) {
    replace({}, engine);
    auto session = open();
    ASSERT_TRUE(session.ok()) << session.error().message();
    const auto outputs = session->run(inputs_for(graph_, 1, 2));
    ASSERT_FALSE(outputs.ok()) << engine;
    EXPECT_EQ(outputs.error().code, Code::invalid_model);
    EXPECT_TRUE(session->run(inputs_for(graph_, 1, 3)).ok());
  }
}

TEST_F(SessionOfAFile, DamageIsWhatOpeningSpeaksOf) {
  std::string content(MappedFile::open(path_).value()->text());
  content[artifact::kBlobAt + 100] ^= 1;
  ASSERT_TRUE(write_file(path_, content).ok());
  const auto session = open();
  ASSERT_FALSE(session.ok());
  EXPECT_EQ(session.error().code, Code::invalid_model);
  EXPECT_THAT(session.error().message(), testing::HasSubstr("checksum"));
}

TEST(Session, KeepsWhatItPackedWithoutReadingTheGraphsOrder) {
  if (!runs_here(Isa::avx2)) GTEST_SKIP() << "plain kernels read weights as they are given";
  const ir::Graph graph = graph_from(
      "graph g(%x: f32[N,32]) {\n  @w: f32[32,64] = blob 0 8192\n  %y = MatMul(%x, @w)\n  return %y as "
      "\"y\"\n}\n");
  Session session = session_of(graph);
  ASSERT_TRUE(session.run(inputs_for(graph, 1)).ok());
  const auto packed = session.packed_constants();
  ASSERT_EQ(packed.size(), 1U);
  EXPECT_TRUE(packed[0].transposed);
  // The graph's own order, should anybody ask for it, is what was given.
  EXPECT_EQ(packed[0].constant.identity(), graph.find_value("w")->constant().identity());
}

TEST(Session, MissingFileIsAnError) {
  for (const char* name : {"/no/such/model.onnx", "/no/such/model.narrow"})
    EXPECT_EQ(Session::open(name, std::make_shared<ThreadPool>(1)).error().code, Code::not_found);
}

}  // namespace
}  // namespace narrow::runtime
