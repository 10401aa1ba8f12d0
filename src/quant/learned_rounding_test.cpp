// Learned rounding finds what exhaustive search finds where that is possible, and never gives back worse than
// it got.
#include "quant/learned_rounding.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "quant/reconstruction.h"
#include "quant/test_blocks.h"

namespace narrow::quant {
namespace {

using namespace testing_blocks;
using testing_graphs::graph_from;

constexpr const char* kProduct = R"(graph g(%x: f32[N,9]) {
  @w: f32[9,2] = blob 0 72
  %y = MatMul(%x, @w)
  return %y as "y"
})";

constexpr const char* kResidual = R"(graph g(%x: f32[N,8,6,6]) {
  @w1: f32[8,8,3,3] = blob 0 2304
  @b1: f32[8] = blob 2560 32
  @w2: f32[8,8,3,3] = blob 4096 2304
  %a = Conv(%x, @w1, @b1) {pads=[1,1,1,1]}
  %b = Relu(%a)
  %c = Conv(%b, @w2) {pads=[1,1,1,1]}
  %d = Add(%c, %x)
  %y = Relu(%d)
  return %y as "y"
})";

TEST(LearnRounding, FindsTheBestOfAllRoundingsOfAColumn) {
  Trial s(kProduct, {{"x", correlated({200, 9}, 1, 1)}}, 200, {"y"}, 3);
  const auto result =
      learn_rounding(s.task, {.iterations = 1500, .held_out = 0}, std::make_shared<ThreadPool>(2));
  ASSERT_TRUE(result.ok()) << result.error().message();
  // Columns do not influence each other: all 2^9 roundings of each. The error is d' G d, G the Gram matrix.
  const auto x = s.task.inputs.at("x").data<float>(), w = weights_in(s.graph, "y").data<float>();
  const GroupedWeights& start = s.task.layers[0].start;
  const auto scale = start.scale.data<float>();
  std::vector<double> gram(81, 0);
  for (size_t r = 0; r < 200; ++r)
    for (size_t i = 0; i < 81; ++i) gram[i] += static_cast<double>(x[r * 9 + i / 9]) * x[r * 9 + i % 9];
  double best_of_all = 0, nearest = 0;
  for (size_t c = 0; c < 2; ++c) {
    double best = std::numeric_limits<double>::infinity();
    for (unsigned pattern = 0; pattern < 512; ++pattern) {
      double d[9], error = 0;
      for (size_t k = 0; k < 9; ++k) {
        const float exact = w[k * 2 + c] / scale[c];
        d[k] = (std::floor(exact) + ((pattern >> k) & 1U) - exact) * scale[c];
      }
      for (size_t i = 0; i < 81; ++i) error += d[i / 9] * gram[i] * d[i % 9];
      best = std::min(best, error);
    }
    best_of_all += best / 400;
  }
  nearest = loss_of(with_codes(s.graph, s.task.layers), s.task.inputs, s.task.outputs);
  EXPECT_NEAR(result->learned.before, nearest, 1e-4 * nearest);
  ASSERT_LT(best_of_all, 0.5 * nearest) << "nothing to learn here";
  // Gradient descent on a relaxation is not exhaustive search: it may end in a neighbour of the best.
  EXPECT_LT(result->learned.after, 1.25 * best_of_all);
  EXPECT_NEAR(loss_of(with_codes(s.graph, result->layers), s.task.inputs, s.task.outputs),
              result->learned.after, 1e-4 * nearest);
}

TEST(LearnRounding, ABlockWithAResidualAnswersBetterOnSamplesItHasNotSeen) {
  Trial s(kResidual, {{"x", correlated({48, 8, 6, 6}, 1, 2)}}, 48, {"a", "c"}, 3);
  const auto result =
      learn_rounding(s.task, {.iterations = 600, .batch = 8}, std::make_shared<ThreadPool>(2));
  ASSERT_TRUE(result.ok()) << result.error().message();
  EXPECT_FALSE(result->kept_start);
  EXPECT_LT(result->held_out.after, 0.8 * result->held_out.before);
  const TensorMap fresh{{"x", correlated({20, 8, 6, 6}, 1, 77)}};
  const auto wanted = outputs_of(s.graph, fresh);
  ASSERT_TRUE(wanted.ok());
  EXPECT_LT(loss_of(with_codes(s.graph, result->layers), fresh, *wanted),
            0.8 * loss_of(with_codes(s.graph, s.task.layers), fresh, *wanted));
  // Every code is one of the two around its weight; scales are as they were.
  int64_t changed = 0;
  for (size_t l = 0; l < 2; ++l) {
    const GroupedWeights &start = s.task.layers[l].start, &found = result->layers[l].start;
    EXPECT_TRUE(found.scale.same_bits(start.scale));
    const auto w = weights_in(s.graph, s.task.layers[l].node).data<float>();
    const auto codes = to_floats(found.codes), was = to_floats(start.codes), scale = scales_of_weights(start);
    for (size_t i = 0; i < w.size(); ++i) {
      EXPECT_LE(std::fabs(codes[i] - w[i] / scale[i]), 1.0F) << i;
      changed += codes[i] != was[i] ? 1 : 0;
    }
  }
  EXPECT_EQ(result->changed, changed);
  EXPECT_GT(changed, 0);
  EXPECT_EQ(result->weights, 2 * 576);
}

TEST(LearnRounding, DoesNotDependOnTheNumberOfThreads) {
  Trial s(kResidual, {{"x", correlated({24, 8, 6, 6}, 1, 3)}}, 24, {"a", "c"}, 3);
  const RoundingOptions options{.iterations = 60, .batch = 8, .held_out = 0};
  const auto one = learn_rounding(s.task, options, std::make_shared<ThreadPool>(1));
  const auto three = learn_rounding(s.task, options, std::make_shared<ThreadPool>(3));
  ASSERT_TRUE(one.ok() && three.ok());
  EXPECT_GT(one->changed, 0);
  EXPECT_EQ(one->learned.after, three->learned.after);
  for (size_t l = 0; l < 2; ++l)
    EXPECT_TRUE(one->layers[l].start.codes.same_bits(three->layers[l].start.codes));
}

/// u4 with zero points, groups of four along the contraction.
TEST(LearnRounding, GroupsKeepTheirScalesAndZeroPoints) {
  Trial s(kProduct, {{"x", correlated({150, 9}, 1, 4)}}, 150, {"y"}, 4);
  s.task.layers[0].start = quantize_groups(weights_in(s.graph, "y"), 0, {.bits = 2, .group_size = 4});
  const auto result = learn_rounding(s.task, {.iterations = 800}, std::make_shared<ThreadPool>(2));
  ASSERT_TRUE(result.ok()) << result.error().message();
  EXPECT_LT(result->held_out.after, result->held_out.before);
  const GroupedWeights &start = s.task.layers[0].start, &found = result->layers[0].start;
  EXPECT_TRUE(found.scale.same_bits(start.scale));
  EXPECT_TRUE(found.zero_point.same_bits(start.zero_point));
  EXPECT_EQ(found.codes.dtype(), DType::u4);
  for (const float code : to_floats(found.codes)) EXPECT_TRUE(code >= 0 && code <= 3) << code;
}

TEST(LearnRounding, TrustInTheStartReproducesItsCodes) {
  Trial s(kProduct, {{"x", correlated({40, 9}, 1, 5)}}, 40, {"y"}, 3);
  // As GPTQ leaves them: some weights two steps from where they were.
  GroupedWeights& start = s.task.layers[0].start;
  std::vector<float> codes = to_floats(start.codes);
  for (size_t i = 0; i < codes.size(); i += 2) codes[i] += codes[i] > 0 ? -2.0F : 2.0F;
  start.codes = cast(Tensor::of(start.codes.shape(), codes), DType::s8);
  const auto trusted = learn_rounding(s.task, {.iterations = 0, .trust = 0.6F, .held_out = 0},
                                      std::make_shared<ThreadPool>(1));
  ASSERT_TRUE(trusted.ok());
  EXPECT_EQ(trusted->learned.after, trusted->learned.before);
  EXPECT_EQ(trusted->changed, 0);
  // Without trust the weights themselves are where it begins.
  const auto fresh =
      learn_rounding(s.task, {.iterations = 0, .held_out = 0}, std::make_shared<ThreadPool>(1));
  ASSERT_TRUE(fresh.ok());
  EXPECT_LT(fresh->learned.after, fresh->learned.before);
}

/// What the samples that learn suggest is wrong for those that judge: the start stays.
TEST(LearnRounding, KeepsTheStartWhereItDoesNotHelp) {
  Trial s(kProduct, {{"x", correlated({40, 9}, 1, 6)}}, 40, {"y"}, 3);
  Tensor& wanted = s.task.outputs.at("y");
  const auto rounded = outputs_of(with_codes(s.graph, s.task.layers), s.task.inputs);
  for (int64_t i = 0; i < 40; ++i)
    if (i % 8 == 7)  // the held-out eighth wants what the start gives
      for (size_t c = 0; c < 2; ++c) {
        const auto at = static_cast<size_t>(2 * i) + c;
        wanted.mutable_data<float>()[at] = rounded->at("y").data<float>()[at];
      }
  const auto result = learn_rounding(s.task, {.iterations = 300}, std::make_shared<ThreadPool>(1));
  ASSERT_TRUE(result.ok());
  EXPECT_TRUE(result->kept_start);
  EXPECT_EQ(result->changed, 0);
  EXPECT_LT(result->held_out.before, 1e-10);
  EXPECT_GT(result->learned.before, 1e-4);
  EXPECT_TRUE(result->layers[0].start.codes.same_bits(s.task.layers[0].start.codes));
}

/// A value that is stored as u8 is rounded on the way: the loss is that of a graph with Q/DQ.
TEST(LearnRounding, StoredValuesAreRoundedOnTheWay) {
  Trial s(kResidual, {{"x", correlated({16, 8, 6, 6}, 1, 7)}}, 16, {"a", "c"}, 4);
  s.task.stored = {{"b", 0.05F, 0}, {"x", 0.06F, 120}, {"y", 0.05F, 0}};
  const auto result =
      learn_rounding(s.task, {.iterations = 300, .batch = 8, .held_out = 0}, std::make_shared<ThreadPool>(2));
  ASSERT_TRUE(result.ok()) << result.error().message();
  auto graph = with_stored_values(with_codes(s.graph, s.task.layers), s.task.stored);
  ASSERT_TRUE(graph.ok()) << graph.error().message();
  const double before = loss_of(*graph, s.task.inputs, s.task.outputs);
  EXPECT_GT(before, 1.01 * loss_of(with_codes(s.graph, s.task.layers), s.task.inputs, s.task.outputs));
  // A value between two codes may fall to either side in another order of summation.
  EXPECT_NEAR(result->learned.before, before, 0.02 * before);
  EXPECT_LT(result->learned.after, 0.9 * before);
}

/// Where the graph fixes its batch to one, samples go through it one by one.
TEST(LearnRounding, AFixedBatchOfOneLearnsToo) {
  std::string text = kResidual;
  text.replace(text.find("[N,8"), 4, "[1,8");
  Trial s(kResidual, {{"x", correlated({12, 8, 6, 6}, 1, 8)}}, 12, {"a", "c"}, 3);
  const RoundingOptions options{.iterations = 40, .batch = 6, .held_out = 0};
  const auto free = learn_rounding(s.task, options, std::make_shared<ThreadPool>(2));
  const ir::Graph fixed = graph_from(text);
  s.task.block = &fixed;
  const auto one = learn_rounding(s.task, options, std::make_shared<ThreadPool>(2));
  ASSERT_TRUE(free.ok() && one.ok()) << (one.ok() ? "" : one.error().message());
  EXPECT_NEAR(one->learned.before, free->learned.before, 1e-5 * free->learned.before);
  EXPECT_NEAR(one->learned.after, free->learned.after, 0.1 * free->learned.after);
}

TEST(LearnRounding, WeighsErrorsByImportance) {
  Trial s(kProduct, {{"x", correlated({100, 9}, 1, 9)}}, 100, {"y"}, 3);
  Tensor importance = Tensor::zeros(DType::f32, {100, 2});
  for (size_t i = 0; i < 100; ++i) importance.mutable_data<float>()[2 * i + 1] = 1;
  s.task.importance["y"] = importance;
  const auto result =
      learn_rounding(s.task, {.iterations = 400, .held_out = 0}, std::make_shared<ThreadPool>(1));
  ASSERT_TRUE(result.ok());
  const auto got = outputs_of(with_codes(s.graph, s.task.layers), s.task.inputs);
  double second = 0;
  for (size_t i = 0; i < 100; ++i)
    second += std::pow(static_cast<double>(got->at("y").data<float>()[2 * i + 1]) -
                           s.task.outputs.at("y").data<float>()[2 * i + 1],
                       2);
  EXPECT_NEAR(result->learned.before, second / 200, 1e-4 * second / 200);
  EXPECT_LE(result->learned.after, result->learned.before);
}

TEST(LearnRounding, ReportsProgress) {
  Trial s(kProduct, {{"x", correlated({10, 9}, 1, 10)}}, 10, {"y"}, 3);
  std::vector<int64_t> seen;
  const auto result = learn_rounding(s.task, {.iterations = 5}, std::make_shared<ThreadPool>(1),
                                     [&](std::string_view, int64_t done, int64_t total) {
                                       EXPECT_EQ(total, 5);
                                       seen.push_back(done);
                                     });
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(seen, (std::vector<int64_t>{1, 2, 3, 4, 5}));
}

TEST(LearnRounding, RefusesWhatDoesNotFit) {
  const Trial good(kProduct, {{"x", correlated({10, 9}, 1, 11)}}, 10, {"y"}, 3);
  const auto error_of = [&](const std::function<void(ReconstructionTask&)>& spoil) {
    ReconstructionTask task = good.task;
    spoil(task);
    const auto result = learn_rounding(task, {.iterations = 1}, std::make_shared<ThreadPool>(1));
    EXPECT_FALSE(result.ok());
    return result.ok() ? Error{} : result.error();
  };
  EXPECT_EQ(error_of([](auto& t) { t.samples = 7; }).subject, "'x'");
  EXPECT_EQ(error_of([](auto& t) { t.inputs.clear(); }).subject, "input 'x' of the block");
  EXPECT_EQ(error_of([](auto& t) { t.outputs.clear(); }).subject, "output 'y' of the block");
  EXPECT_EQ(error_of([](auto& t) { t.layers[0].node = "z"; }).subject, "'z'");
  EXPECT_EQ(error_of([](auto& t) { t.layers[0].start.bits = 2; }).subject, "codes of 'y'");
  EXPECT_EQ(error_of([](auto& t) { t.stored = {{"nothing", 1, 0}}; }).subject, "'nothing'");
  const ir::Graph running = graph_from(R"(graph g(%x: f32[N,9]) {
  @w: f32[9,2] = blob 0 72
  @a: s64[] = [1]
  %p = MatMul(%x, @w)
  %y = CumSum(%p, @a) "sum"
  return %y as "y"
})");
  const Error error = error_of([&](auto& t) {
    t.block = &running;
    t.layers[0].node = "p";
  });
  EXPECT_EQ(error.code, Code::unsupported);
  EXPECT_EQ(error.subject, "CumSum 'sum'");
}

}  // namespace
}  // namespace narrow::quant
