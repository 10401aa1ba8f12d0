// Moments against plain loops over the definition of a layer.
#include "quant/moments.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "quant/regions.h"
#include "runtime/reference/reference.h"
#include "runtime/test_graphs.h"

namespace narrow::quant {
namespace {

using testing_graphs::graph_from;

struct Layer {
  const char* name;
  std::string text;
};

/// The contraction of more than 32 numbers takes the path of large matrices.
std::vector<Layer> layers() {
  return {
      {"dense", R"(graph g(%x: f32[3,40]) {
    @w: f32[40,5] = blob 0 800
    %y = MatMul(%x, @w)
    return %y as "y"
  })"},
      {"transposed", R"(graph g(%x: f32[3,12]) {
    @w: f32[5,12] = blob 0 240
    %y = Gemm(%x, @w) {transB=1}
    return %y as "y"
  })"},
      {"conv", R"(graph g(%x: f32[2,6,7,5]) {
    @w: f32[4,6,3,2] = blob 0 576
    %y = Conv(%x, @w) {dilations=[1,2], pads=[1,0,2,1], strides=[2,1]}
    return %y as "y"
  })"},
      {"depthwise", R"(graph g(%x: f32[2,4,6,6]) {
    @w: f32[4,1,3,3] = blob 0 144
    %y = Conv(%x, @w) {group=4, pads=[1,1,1,1]}
    return %y as "y"
  })"},
      {"groups", R"(graph g(%x: f32[2,24,4,4]) {
    @w: f32[6,12,2,2] = blob 0 1152
    %y = Conv(%x, @w) {group=2}
    return %y as "y"
  })"},
  };
}

class MomentsOf : public testing::TestWithParam<size_t> {};

/// Rows times the weights, by HeavyShape's order, are the layer's result.
TEST_P(MomentsOf, RowsAreWhatTheLayerMultiplies) {
  const ir::Graph graph = graph_from(layers()[GetParam()].text);
  const ir::Node& node = *graph.nodes().front();
  const TensorMap inputs = testing_graphs::inputs_for(graph, 5);
  const auto outputs = runtime::reference::run(graph, inputs);
  ASSERT_TRUE(outputs.ok());
  const auto y = outputs->at("y").data<float>();
  const Tensor& x = inputs.at("x");
  const HeavyShape shape = heavy_shape(node);
  const LayerRows rows(node, x.shape());
  const auto w = weights_of(node)->constant().data<float>();
  const int64_t results = shape.groups * shape.n;
  ASSERT_EQ(rows.rows() * results, static_cast<int64_t>(y.size()));
  const int64_t pixels = node.op() == ir::Op::Conv ? rows.rows() / x.dim(0) : 1;
  std::vector<float> row(static_cast<size_t>(shape.k));
  for (int64_t r = 0; r < rows.rows(); ++r)
    for (int64_t g = 0; g < shape.groups; ++g) {
      rows.gather(x.data<float>().data(), r, g, row.data());
      std::vector<float> result(static_cast<size_t>(shape.n));
      rows.gather_result(y.data(), r, g, result.data());
      for (int64_t n = 0; n < shape.n; ++n) {
        double sum = 0, size = 0;
        for (int64_t k = 0; k < shape.k; ++k) {
          const double term = static_cast<double>(row[static_cast<size_t>(k)]) *
                              static_cast<double>(w[static_cast<size_t>(shape.index(g, k, n))]);
          sum += term;
          size += std::fabs(term);
        }
        const int64_t channel = g * shape.n + n;
        const float got = y[static_cast<size_t>((r / pixels * results + channel) * pixels + r % pixels)];
        EXPECT_EQ(result[static_cast<size_t>(n)], got);
        EXPECT_NEAR(got, sum, 1.2e-7 * static_cast<double>(shape.k + 1) * size) << r << " " << g << " " << n;
      }
    }
}

TEST_P(MomentsOf, AreTheSumsOfTheirDefinition) {
  const ir::Graph graph = graph_from(layers()[GetParam()].text);
  const ir::Node& node = *graph.nodes().front();
  const Tensor x = testing_graphs::inputs_for(graph, 5).at("x"),
               q = testing_graphs::inputs_for(graph, 6).at("x");
  const HeavyShape shape = heavy_shape(node);
  // Any tensor of the result's shape.
  const Tensor missing = runtime::reference::run(graph, testing_graphs::inputs_for(graph, 7))->at("y");
  ThreadPool pool(2);
  MomentSums sums(node, 2);
  sums.add(x, q, missing, pool);
  sums.add(q, x, missing, pool);
  const std::vector<Moments> found = sums.finish();
  ASSERT_EQ(found.size(), static_cast<size_t>(shape.groups));
  const LayerRows rows(node, x.shape());
  const auto k = static_cast<size_t>(shape.k);
  for (int64_t g = 0; g < shape.groups; ++g) {
    const Moments& m = found[static_cast<size_t>(g)];
    EXPECT_EQ(m.rows, 2 * rows.rows());
    const auto n = static_cast<size_t>(shape.n);
    std::vector<double> quantized(k * k), cross(k * k), mean(k), residual(k * n);
    for (const auto& [original, rounded] : {std::pair{&x, &q}, std::pair{&q, &x}})
      for (int64_t r = 0; r < rows.rows(); ++r) {
        std::vector<float> a(k), b(k);
        rows.gather(original->data<float>().data(), r, g, a.data());
        rows.gather(rounded->data<float>().data(), r, g, b.data());
        std::vector<float> lost(n);
        rows.gather_result(missing.data<float>().data(), r, g, lost.data());
        for (size_t i = 0; i < k; ++i) {
          for (size_t j = 0; j < n; ++j)
            residual[i * n + j] += static_cast<double>(b[i]) * static_cast<double>(lost[j]);
          mean[i] += static_cast<double>(a[i]) / static_cast<double>(m.rows);
          for (size_t j = 0; j < k; ++j) {
            quantized[i * k + j] += static_cast<double>(b[i]) * static_cast<double>(b[j]);
            cross[i * k + j] += static_cast<double>(b[i]) * static_cast<double>(a[j]);
          }
        }
      }
    // FP32 sums over the rows of one call, of products below 25 (five deviations each).
    const double tolerance = 25.0 * 6e-8 * static_cast<double>(m.rows + 2) * static_cast<double>(m.rows);
    for (size_t i = 0; i < k * k; ++i) {
      EXPECT_NEAR(m.quantized[i], quantized[i], tolerance);
      EXPECT_NEAR(m.cross[i], cross[i], tolerance);
    }
    for (size_t i = 0; i < k * n; ++i) EXPECT_NEAR(m.residual[i], residual[i], tolerance);
    for (size_t i = 0; i < k; ++i) EXPECT_NEAR(m.mean[i], mean[i], 1e-9);
  }
}

INSTANTIATE_TEST_SUITE_P(Layers, MomentsOf, testing::Range(size_t{0}, layers().size()),
                         [](const auto& suite) { return layers()[suite.param].name; });

TEST(Moments, DoNotDependOnThreads) {
  const ir::Graph graph = graph_from(layers()[2].text);
  const Tensor x = testing_graphs::inputs_for(graph, 5).at("x");
  std::vector<std::vector<double>> seen;
  for (const int threads : {1, 2, 3}) {
    ThreadPool pool(threads);
    MomentSums sums(*graph.nodes().front(), 1);
    sums.add(x, x, {}, pool);
    seen.push_back(sums.finish().front().quantized);
  }
  EXPECT_EQ(seen[0], seen[1]);
  EXPECT_EQ(seen[0], seen[2]);
}

/// A classifier's layer that saw two rows: nothing of 3000 by 3000 numbers, but its means.
TEST(Moments, OfMoreInputsThanRowsSayAnythingAboutAreMeans) {
  const ir::Graph graph = graph_from(R"(graph g(%x: f32[2,3000]) {
    @w: f32[3000,2] = blob 0 24000
    %y = MatMul(%x, @w)
    return %y as "y"
  })");
  const Tensor x = testing_graphs::inputs_for(graph, 5).at("x"),
               q = testing_graphs::inputs_for(graph, 6).at("x");
  const Tensor missing = Tensor::zeros(DType::f32, {2, 2});
  ThreadPool pool(1);
  MomentSums sums(*graph.nodes().front(), 1);
  sums.add(x, q, missing, pool);
  const Moments found = sums.finish().front();
  EXPECT_FALSE(found.has_products());
  EXPECT_TRUE(found.cross.empty() && found.residual.empty());
  EXPECT_EQ(found.rows, 2);
  EXPECT_THAT(found.mean_residual, testing::ElementsAre(0, 0));
  for (size_t k = 0; k < 3000; k += 611) {
    EXPECT_DOUBLE_EQ(found.mean[k], (double{x.data<float>()[k]} + double{x.data<float>()[k + 3000]}) / 2);
    EXPECT_DOUBLE_EQ(found.mean_quantized[k],
                     (double{q.data<float>()[k]} + double{q.data<float>()[k + 3000]}) / 2);
  }
}

TEST(Moments, AreWorthTheirProductsUpToABound) {
  EXPECT_TRUE(worth_products(2048, 64));
  EXPECT_FALSE(worth_products(2049, 64));
  EXPECT_TRUE(worth_products(12288, 100000));
  EXPECT_FALSE(worth_products(12289, 100000));
}

}  // namespace
}  // namespace narrow::quant
