// The formula of scale_cost.h against rounding that really happens, in plain loops; and its minimum against
// what lies around it.
#include "quant/scale_cost.h"

#include <gtest/gtest.h>

#include <cmath>

#include "calib/calibrate.h"
#include "data/test_samples.h"
#include "quant/scale_test_graphs.h"

namespace narrow::quant {
namespace {

using testing_graphs::graph_from;

constexpr int64_t kInputs = 24, kMiddle = 16, kOutputs = 20, kSamples = 400;

Tensor normals(Random& random, const Shape& shape) {
  Tensor t = Tensor::allocate(DType::f32, shape);
  for (float& x : t.mutable_data<float>()) x = static_cast<float>(random.normal());
  return t;
}

/// Gemm, Relu, Gemm; channels of the value between differ in size by up to `spread` (natural logarithm).
struct Chain {
  ir::Graph graph;
  calib::Profile profile;
  Tensor input;

  explicit Chain(double spread, uint64_t seed = 1) {
    Random random(seed);
    Tensor first = normals(random, {kMiddle, kInputs}), second = normals(random, {kOutputs, kMiddle}),
           bias = normals(random, {kMiddle});
    for (int64_t c = 0; c < kMiddle; ++c) {
      const auto size = static_cast<float>(std::exp(random.uniform(-spread, spread)));
      for (int64_t i = 0; i < kInputs; ++i)
        first.mutable_data<float>()[static_cast<size_t>(c * kInputs + i)] *= size;
      bias.mutable_data<float>()[static_cast<size_t>(c)] *= size;
    }
    ir::Value* x = graph.add_input("x", ir::TensorType::of(DType::f32, {1, kInputs}));
    x->type.dims[0] = ir::Dim(std::string("N"));
    const auto layer = [&](ir::Value* from, const Tensor& w, ir::Value* b, const char* name) {
      std::vector<ir::Value*> inputs = {from, graph.add_constant(std::string(name) + "_w", w)};
      if (b != nullptr) inputs.push_back(b);
      return graph.add_node(ir::Op::Gemm, inputs, {name}, {{"transB", int64_t{1}}})->output();
    };
    ir::Value* a = layer(x, first, graph.add_constant("bias", bias), "a");
    ir::Value* b = graph.add_node(ir::Op::Relu, {a}, {"b"})->output();
    graph.add_output("y", layer(b, second, nullptr, "y"));
    EXPECT_TRUE(ir::infer_types(graph).ok());
    for (ir::Value* value : graph.values()) value->origin = value->is_constant() ? "" : value->name;
    input = normals(random, {kSamples, kInputs});
    auto seen = calib::calibrate(graph, "m", data::Samples({{"x", input}}), std::make_shared<ThreadPool>(2));
    EXPECT_TRUE(seen.ok());
    profile = std::move(seen).value();
  }

  ScaleCost cost() const {
    const auto groups = find_scale_groups(graph).groups;
    EXPECT_EQ(groups.size(), 1U);
    return {groups.at(0), &profile, integer_regions(graph, {}), 1};
  }

  const Tensor& constant(const char* name) const { return graph.find_value(name)->constant(); }
};

/// Mean squared error of the results, summed over them, when the value between and the second layer's weights
/// are rounded to their grids (no clipping). The mean of each result's error is taken out, as bias correction
/// does; of the values' errors only where a Relu's zeros are not exact, so not at all.
struct Measured {
  double values = 0, weights = 0;
};

Measured measure(const Chain& chain, const std::vector<double>& s) {
  const auto w1 = chain.constant("a_w").data<float>(), w2 = chain.constant("y_w").data<float>(),
             bias = chain.constant("bias").data<float>(), x = chain.input.data<float>();
  std::vector<double> b(kSamples * kMiddle);
  double high = 0;
  for (int64_t n = 0; n < kSamples; ++n)
    for (int64_t c = 0; c < kMiddle; ++c) {
      double sum = static_cast<double>(bias[static_cast<size_t>(c)]);
      for (int64_t i = 0; i < kInputs; ++i)
        sum += static_cast<double>(w1[static_cast<size_t>(c * kInputs + i)]) *
               static_cast<double>(x[static_cast<size_t>(n * kInputs + i)]);
      double& at = b[static_cast<size_t>(n * kMiddle + c)];
      at = std::max(sum, 0.0) / s[static_cast<size_t>(c)];
      high = std::max(high, at);
    }
  Measured measured;
  const double step = high / 255;
  for (int64_t o = 0; o < kOutputs; ++o) {
    double largest = 0;
    for (int64_t c = 0; c < kMiddle; ++c)
      largest = std::max(largest, std::fabs(static_cast<double>(w2[static_cast<size_t>(o * kMiddle + c)])) *
                                      s[static_cast<size_t>(c)]);
    const double grid = largest / 127;
    double sum = 0, squares = 0;
    for (int64_t n = 0; n < kSamples; ++n) {
      double value_error = 0, weight_error = 0;
      for (int64_t c = 0; c < kMiddle; ++c) {
        const double v = b[static_cast<size_t>(n * kMiddle + c)],
                     w = static_cast<double>(w2[static_cast<size_t>(o * kMiddle + c)]) *
                         s[static_cast<size_t>(c)];
        value_error += (std::nearbyint(v / step) * step - v) * w;
        weight_error += (std::nearbyint(w / grid) * grid - w) * v;
      }
      measured.values += value_error * value_error / kSamples;
      sum += weight_error, squares += weight_error * weight_error;
    }
    measured.weights += squares / kSamples - sum / kSamples * (sum / kSamples);
  }
  return measured;
}

/// The formula takes errors for uniform and independent: half a channel's numbers are exact zeros, which err
/// not at all, so the values' part is an upper bound by about two. A few dozen weights are few: 30 % either
/// way.
TEST(ScaleCost, SaysWhatRoundingDoes) {
  for (const double spread : {0.0, 1.0, 2.0}) {
    double predicted_values = 0, predicted_weights = 0, values = 0, weights = 0;
    for (uint64_t seed = 0; seed < 8; ++seed) {
      const Chain chain(spread, seed);
      Random random(seed);
      std::vector<double> s(kMiddle);
      for (double& f : s) f = std::exp(random.uniform(-1, 1));
      const ScaleCost::Parts parts = chain.cost().parts_at(s);
      const Measured measured = measure(chain, s);
      predicted_values += parts.values / 12, predicted_weights += parts.weights / 12;
      values += measured.values, weights += measured.weights;
    }
    EXPECT_GT(values, 0.35 * predicted_values) << spread;
    EXPECT_LT(values, 0.9 * predicted_values) << spread;
    EXPECT_NEAR(weights / predicted_weights, 1, 0.3) << spread;
  }
}

/// The descent replaces maxima by norms of order 16, whose minimum lies a few percent above.
TEST(ScaleCost, BestIsBetterThanWhatLiesAround) {
  for (const double spread : {0.0, 1.5, 3.0}) {
    const Chain chain(spread);
    const ScaleCost cost = chain.cost();
    const std::vector<FactorBounds> free(kMiddle);
    const std::vector<double> best = cost.best(free);
    const double least = cost.at(best), ones = cost.at(std::vector<double>(kMiddle, 1.0));
    EXPECT_LE(least, ones);
    Random random(2);
    for (int trial = 0; trial < 2000; ++trial) {
      std::vector<double> other = best;
      const double size = trial % 2 == 0 ? 0.05 : 0.5;
      for (double& f : other) f *= std::exp(size * random.normal());
      EXPECT_GT(cost.at(other), 0.96 * least) << spread << " " << trial;
    }
    if (spread == 3.0) {
      EXPECT_LT(least, 0.5 * ones);  // channels that differ by up to e^6
    }
  }
}

TEST(ScaleCost, BoundsHold) {
  const Chain chain(3.0);
  const ScaleCost cost = chain.cost();
  std::vector<FactorBounds> bounds(kMiddle);
  for (size_t c = 0; c < bounds.size(); ++c) bounds[c] = {0.9, c % 3 == 0};
  const std::vector<double> best = cost.best(bounds);
  for (size_t c = 0; c < bounds.size(); ++c) {
    EXPECT_GE(best[c], 0.9);
    if (bounds[c].fixed) {
      EXPECT_EQ(best[c], 1);
    }
  }
  EXPECT_LE(cost.at(best), cost.at(std::vector<double>(kMiddle, 1.0)));
}

/// Scales per channel make the weights of depthwise layers free: the channels become equally large, whatever
/// the weights.
TEST(ScaleCost, DepthwiseReadersEqualiseCompletely) {
  ir::Graph graph = graph_from(R"(graph g(%x: f32[N,3,6,6]) {
  @w1: f32[16,3,1,1] = blob 0 192
  @b1: f32[16] = blob 512 64
  @w2: f32[16,1,3,3] = blob 1024 576
  @w3: f32[5,16,1,1] = blob 3072 320
  %a = Conv(%x, @w1, @b1)
  %b = Relu(%a)
  %c = Conv(%b, @w2) {group=16, pads=[1,1,1,1]}
  %y = Conv(%c, @w3)
  return %y as "y"
}
)");
  const TensorMap inputs = testing_graphs::inputs_for(graph, 4, 32);
  const auto profile = calib::calibrate(graph, "m", data::Samples(inputs), std::make_shared<ThreadPool>(2));
  ASSERT_TRUE(profile.ok());
  const auto groups = find_scale_groups(graph).groups;
  ASSERT_EQ(groups.size(), 2U);
  const ScaleCost cost(groups[0], &*profile, integer_regions(graph, {}), 1);
  const std::vector<double> best = cost.best(std::vector<FactorBounds>(16));
  const auto& high = profile->values.at("b").channel_max;
  const double tensor = *std::max_element(high.begin(), high.end());
  for (size_t c = 0; c < best.size(); ++c)
    if (high[c] > 0.01F * static_cast<float>(tensor)) {
      EXPECT_NEAR(static_cast<double>(high[c]) / best[c] / tensor, 1, 0.02) << c;
    }
  // Half trusted, a channel comes half-way to the largest, or stays a little below that where its weights say
  // more.
  const ScaleCost careful(groups[0], &*profile, integer_regions(graph, {}), 0.5);
  const std::vector<double> half = careful.best(std::vector<FactorBounds>(16));
  for (size_t c = 0; c < half.size(); ++c) {
    EXPECT_GE(half[c], 0.98 * std::sqrt(best[c])) << c;
    EXPECT_LE(half[c], 1.02) << c;
  }
}

}  // namespace
}  // namespace narrow::quant
