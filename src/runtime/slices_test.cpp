#include "runtime/slices.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "runtime/session.h"
#include "runtime/test_graphs.h"

namespace narrow::runtime {
namespace {

using testing_graphs::graph_from;
using testing_graphs::inputs_for;

/// Images of a megabyte: what a batch of them hands on does not fit any cache. A value of each kind: inside
/// of a section, from one to the next, a residual overwritten in place, one of another section, an output of
/// the model in the middle, an input that is another value's memory, a step that looks at the whole batch.
constexpr const char* kImages = R"(graph g(%x: f32[N,4,128,128], %mask: f32[N,1,128,128]) {
  @w1: f32[16,4,3,3] = blob 0 2304
  @b1: f32[16] = blob 4096 64
  @w2: f32[16,16,1,1] = blob 8192 1024
  @w3: f32[16,1,3,3] = blob 16384 576
  @w4: f32[4,16,1,1] = blob 20480 256
  @w5: f32[16,4,1,1] = blob 20480 256
  @axes: s64[1] = [0]
  %a = Conv(%x, @w1, @b1) {pads=[1,1,1,1]} "first"
  %b = Relu(%a)
  %c = Conv(%b, @w2) "second"
  %d = Add(%c, %b)
  %e = Conv(%d, @w3) {group=16, pads=[1,1,1,1]} "depthwise"
  %f = HardSwish(%e)
  %f1 = Conv(%f, @w2)
  %f2 = Conv(%f1, @w2)
  %f3 = Relu(%f2)
  %f4 = Conv(%f3, @w2)
  %f5 = Add(%f4, %f2)
  %f6 = Conv(%f5, @w4)
  %g = Mul(%f6, %mask)
  %m = ReduceMean(%g, @axes) {keepdims=1}
  %h = Sub(%g, %m)
  %i = Conv(%h, @w5) "third"
  %j = Add(%i, %d)
  %k = Conv(%j, @w4) "fourth"
  %l = Concat(%k, %x) {axis=1}
  %p = MaxPool(%l) {kernel_shape=[2,2], strides=[2,2]}
  return %p as "p", %f as "middle"
}
)";

/// Of the same, in 8 bits.
constexpr const char* kIntegers = R"(graph g(%x: f32[N,4,192,192]) {
  @s: f32[] = [0.03]
  @z: u8[] = [120]
  @t: f32[] = [0.05]
  @o: u8[] = [0]
  @w: s8[4,4,1,1] = [1,-2,3,100,-50,60,7,8,-9,10,11,-12,127,-127,15,16]
  @v: s8[8,4,1,1] = [1,-2,3,100,-50,60,7,8,-9,10,11,-12,127,-127,15,16,1,-2,3,100,-50,60,7,8,-9,10,11,-12,127,-127,15,16]
  @ws: f32[] = [0.01]
  %q = QuantizeLinear(%x, @s, @z)
  %d = DequantizeLinear(%q, @s, @z)
  %wd = DequantizeLinear(@w, @ws)
  %vd = DequantizeLinear(@v, @ws)
  %c = Conv(%d, %wd)
  %r = Relu(%c)
  %rq = QuantizeLinear(%r, @t, @o)
  %rd = DequantizeLinear(%rq, @t, @o)
  %c2 = Conv(%rd, %wd)
  %a = Add(%c2, %d)
  %aq = QuantizeLinear(%a, @t, @z)
  %p = DequantizeLinear(%aq, @t, @z)
  %m = MaxPool(%p) {kernel_shape=[2,2], strides=[2,2]}
  %n = Conv(%m, %vd)
  %mq = QuantizeLinear(%n, @t, @z)
  %y = DequantizeLinear(%mq, @t, @z)
  return %y as "y"
}
)";

/// Windows of all kinds in 8 bits: with strides, dilation, more padding on one side, of averages, a Concat
/// whose inputs are written where they belong, a value that two steps read at different rows, and rows that
/// no window reaches.
constexpr const char* kWindows = R"(graph g(%x: f32[N,4,161,97]) {
  @s: f32[] = [0.03]
  @z: u8[] = [120]
  @t: f32[] = [0.05]
  @ws: f32[] = [0.01]
  @w1: s8[32,4,5,5] = blob 0 3200
  @w2: s8[32,32,3,3] = blob 4096 9216
  @w3: s8[32,1,3,3] = blob 16384 288
  @w4: s8[64,32,1,1] = blob 20480 2048
  @w5: s8[32,96,3,3] = blob 24576 27648
  %q = QuantizeLinear(%x, @s, @z)
  %d = DequantizeLinear(%q, @s, @z)
  %f1w = DequantizeLinear(@w1, @ws)
  %f2w = DequantizeLinear(@w2, @ws)
  %f3w = DequantizeLinear(@w3, @ws)
  %f4w = DequantizeLinear(@w4, @ws)
  %f5w = DequantizeLinear(@w5, @ws)
  %a = Conv(%d, %f1w) {pads=[2,2,1,3]}
  %aq = QuantizeLinear(%a, @t, @z)
  %ad = DequantizeLinear(%aq, @t, @z)
  %b = Conv(%ad, %f2w) {dilations=[2,2], pads=[2,2,2,2]}
  %r = Relu(%b)
  %rq = QuantizeLinear(%r, @t, @z)
  %rd = DequantizeLinear(%rq, @t, @z)
  %e = Conv(%rd, %f3w) {group=32, pads=[1,1,1,1]}
  %f = Add(%e, %ad)
  %fq = QuantizeLinear(%f, @t, @z)
  %fd = DequantizeLinear(%fq, @t, @z)
  %p = AveragePool(%fd) {kernel_shape=[3,3], strides=[1,1]}
  %pq = QuantizeLinear(%p, @t, @z)
  %pd = DequantizeLinear(%pq, @t, @z)
  %g = Conv(%pd, %f4w)
  %h = Conv(%pd, %f2w) {pads=[1,1,1,1]}
  %k = Concat(%g, %h) {axis=1}
  %kq = QuantizeLinear(%k, @t, @z)
  %kd = DequantizeLinear(%kq, @t, @z)
  %l = Conv(%kd, %f5w) {strides=[2,2], pads=[0,1,0,1]}
  %lq = QuantizeLinear(%l, @t, @z)
  %ld = DequantizeLinear(%lq, @t, @z)
  %m = MaxPool(%ld) {kernel_shape=[3,3], strides=[2,2], pads=[1,1,0,0]}
  return %m as "m"
}
)";

/// Costs at which slicing pays as soon as activations fit.
SliceOptions eager(int64_t cache_bytes) {
  return {.cache_bytes = cache_bytes, .step = 1e3, .pass = 1, .bands_from = 1};
}

Session session_of(const ir::Graph& graph, int64_t cache_bytes, int threads) {
  SessionOptions options;
  options.slices = eager(cache_bytes);
  auto session = Session::create(graph, std::make_shared<ThreadPool>(threads), options);
  EXPECT_TRUE(session.ok());
  return std::move(session).value();
}

std::map<std::string, Shape> shapes_of(const TensorMap& inputs) {
  std::map<std::string, Shape> shapes;
  for (const auto& [name, tensor] : inputs) shapes[name] = tensor.shape();
  return shapes;
}

/// Of one step.
struct Most {
  int64_t slices = 0, bands = 0;
};

Most most_of(Session& session, const TensorMap& inputs) {
  const auto info = session.plan_info(shapes_of(inputs));
  EXPECT_TRUE(info.ok());
  Most most;
  for (const StepChoice& step : info->steps) {
    most.slices = std::max(most.slices, step.slices);
    most.bands = std::max(most.bands, step.bands);
  }
  return most;
}

class Slices : public testing::TestWithParam<testing_graphs::GraphCase> {};

TEST_P(Slices, ChangeNoBit) {
  const ir::Graph graph = graph_from(GetParam().text);
  Most most;
  for (const int64_t batch : {1, 2, 5, 6}) {
    const TensorMap inputs = inputs_for(graph, 1, batch);
    Session whole = session_of(graph, 0, 2);
    EXPECT_EQ(most_of(whole, inputs).slices, 1);
    EXPECT_EQ(most_of(whole, inputs).bands, 1);
    const auto wanted = whole.run(inputs);
    ASSERT_TRUE(wanted.ok()) << wanted.error().message();
    for (const int64_t cache : {100 << 10, 300 << 10, 1 << 20, 2 << 20, 4 << 20})
      for (const int threads : {1, 2, 3}) {
        SCOPED_TRACE(testing::Message()
                     << "batch " << batch << ", cache " << cache << ", threads " << threads);
        Session sliced = session_of(graph, cache, threads);
        for (int again = 0; again < 2; ++again) {
          const auto got = sliced.run(inputs);
          ASSERT_TRUE(got.ok()) << got.error().message();
          for (const auto& [name, tensor] : *wanted) EXPECT_TRUE(got->at(name).same_bits(tensor)) << name;
        }
        const auto [slices, bands] = most_of(sliced, inputs);
        EXPECT_TRUE(batch > 1 || slices == 1);
        most = {std::max(most.slices, slices), std::max(most.bands, bands)};
      }
  }
  EXPECT_EQ(most.slices, 6);
  EXPECT_GE(most.bands, 4);
}

/// Observers that did not ask for slices see whole batches, and the numbers stay.
TEST_P(Slices, AreNotWhatObserversSee) {
  struct Recorder final : Observer {
    explicit Recorder(bool slices) : takes(slices) {}
    bool takes_slices() const override { return takes; }
    void after(const ir::Node&, std::span<const ValueView> outputs) override {
      for (const ValueView& view : outputs) parts[view.value->name].push_back(elements_of(view.shape));
    }
    bool takes;
    std::map<std::string, std::vector<int64_t>> parts;  // elements seen at a time
  };
  const ir::Graph graph = graph_from(GetParam().text);
  const TensorMap inputs = inputs_for(graph, 1, 6);
  Session session = session_of(graph, 2 << 20, 2);
  const auto wanted = session.run(inputs);
  ASSERT_TRUE(wanted.ok());
  Recorder whole(false), sliced(true);
  for (Recorder* recorder : {&whole, &sliced}) {
    const auto got = session.run(inputs, recorder);
    ASSERT_TRUE(got.ok());
    for (const auto& [name, tensor] : *wanted) EXPECT_TRUE(got->at(name).same_bits(tensor)) << name;
  }
  size_t most = 0;
  for (const auto& [name, parts] : whole.parts) EXPECT_EQ(parts.size(), 1U) << name;
  for (const auto& [name, parts] : sliced.parts) {
    most = std::max(most, parts.size());
    const int64_t seen = std::accumulate(parts.begin(), parts.end(), int64_t{0}),
                  all = whole.parts.at(name).at(0);
    EXPECT_TRUE(seen <= all && seen * 10 >= all * 9) << name;  // bands leave rows out that no window reaches
  }
  EXPECT_GT(most, 1U);
}

INSTANTIATE_TEST_SUITE_P(Of, Slices,
                         testing::Values(testing_graphs::GraphCase{"floats", kImages},
                                         testing_graphs::GraphCase{"integers", kIntegers},
                                         testing_graphs::GraphCase{"splits",
                                                                   testing_graphs::split_graph("192,160")},
                                         testing_graphs::GraphCase{"windows", kWindows}),
                         [](const auto& param) { return param.param.name; });

ir::Graph bound(int64_t batch) {
  ir::Graph graph = graph_from(kImages);
  for (ir::Value* value : graph.values())
    for (ir::Dim& dim : value->type.dims)
      if (!dim.known()) dim = ir::Dim(batch);
  return graph;
}

/// A 3x3 that counts as many patches enough for Winograd in the batch, and too few in a slice.
TEST(PlanSlices, KeepsTheKernelsOfTheWholeBatch) {
  const ir::Graph graph = graph_from(R"(graph g(%x: f32[N,32,32,32]) {
  @w1: f32[32,32,1,1] = blob 0 4096
  @w2: f32[32,32,3,3] = blob 8192 36864
  %a = Conv(%x, @w1)
  %b = Relu(%a)
  %c = Conv(%b, @w1)
  %d = MaxPool(%c) {kernel_shape=[4,4], strides=[4,4]}
  %e = Conv(%d, @w2) {pads=[1,1,1,1]}
  return %e as "e"
}
)");
  const TensorMap inputs = inputs_for(graph, 1, 6);
  SessionOptions options;
  options.slices = {};
  const auto wanted = Session::create(graph, std::make_shared<ThreadPool>(2), options)->run(inputs);
  ASSERT_TRUE(wanted.ok());
  options.slices = {.cache_bytes = 400 << 10, .step = 1, .pass = 1e6};
  for (const int threads : {1, 2, 3}) {
    auto sliced = Session::create(graph, std::make_shared<ThreadPool>(threads), options);
    const auto got = sliced->run(inputs);
    ASSERT_TRUE(got.ok());
    EXPECT_TRUE(got->at("e").same_bits(wanted->at("e"))) << threads << " threads";
  }
}

TEST(PlanSlices, NormalisesTheImagesOfASlice) {
  const ir::Graph graph = graph_from(R"(graph g(%x: f32[N,4,128,128]) {
  @w1: f32[16,4,3,3] = blob 0 2304
  @w2: f32[16,16,1,1] = blob 8192 1024
  @scale: f32[16] = blob 16384 64
  @bias: f32[16] = blob 20480 64
  %a = Conv(%x, @w1) {pads=[1,1,1,1]}
  %b = InstanceNormalization(%a, @scale, @bias)
  %c = Relu(%b)
  %d = Conv(%c, @w2)
  %e = GroupNormalization(%d, @scale, @bias) {num_groups=4}
  %f = Relu(%e)
  %y = Conv(%f, @w2)
  return %y as "y"
}
)");
  const TensorMap inputs = inputs_for(graph, 1, 6);
  Session whole = session_of(graph, 0, 2), sliced = session_of(graph, 2 << 20, 2);
  const auto info = sliced.plan_info(shapes_of(inputs));
  ASSERT_TRUE(info.ok());
  int norms = 0;
  for (const StepChoice& step : info->steps) {
    if (step.op != "GroupNormalization") continue;
    ++norms;
    EXPECT_GT(step.slices, 1);
    EXPECT_EQ(step.kernel, "group_norm");
  }
  EXPECT_EQ(norms, 2);
  const auto wanted = whole.run(inputs), got = sliced.run(inputs);
  ASSERT_TRUE(wanted.ok() && got.ok());
  EXPECT_TRUE(got->at("y").same_bits(wanted->at("y")));
}

TEST(PlanSlices, TakesLessMemory) {
  const ir::Graph graph = graph_from(kIntegers);
  const auto shapes = shapes_of(inputs_for(graph, 1, 8));
  Session whole = session_of(graph, 0, 2), sliced = session_of(graph, 2 << 20, 2);
  EXPECT_LT(sliced.plan_info(shapes)->arena_bytes, whole.plan_info(shapes)->arena_bytes);
}

TEST(PlanSlices, CoversEveryStepOnceInSizesThatDivideTheBatch) {
  for (const int64_t batch : {1, 2, 7, 12})
    for (const int64_t cache : {0, 1 << 16, 1 << 20, 8 << 20, 1 << 30}) {
      const ir::Graph graph = bound(batch);
      const std::vector<ir::Node*> order = graph.nodes();
      const auto sections = plan_slices(graph, order, eager(cache), 2);
      size_t next = 0;
      for (const Section& section : sections) {
        EXPECT_EQ(section.first, next);
        EXPECT_GT(section.end, section.first);
        next = section.end;
        EXPECT_TRUE(!section.is_sliced() || section.count * section.images == batch);
        EXPECT_TRUE(!section.is_banded() || section.images == 1);
        for (size_t k = section.first; k < section.end; ++k)
          EXPECT_FALSE(order[k]->op() == ir::Op::ReduceMean && section.is_sliced());
      }
      EXPECT_EQ(next, order.size());
      if (cache == 0 || cache == 1 << 30) {
        EXPECT_EQ(sections.size(), 1U) << batch << " " << cache;
      }
    }
}

}  // namespace
}  // namespace narrow::runtime
