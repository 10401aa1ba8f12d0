// The rotated graph answers as the original, its constants are those that plain loops give, and what cannot
// be rotated is left as it is, by name.
#include "quant/rotate.h"

#include <gmock/gmock.h>

#include <cmath>

#include "quant/hadamard.h"
#include "quant/rotate_test_graphs.h"
#include "quant/test_answers.h"

namespace narrow::quant {
namespace {

constexpr std::array kForms = {NormForm::rms, NormForm::rms_primitive, NormForm::layer,
                               NormForm::layer_primitive};

struct Rotated {
  ir::Graph before, after;
  RotateReport report;
};

Rotated rotated(const ir::Graph& graph, const RotateOptions& options = {}) {
  Rotated done{graph.clone(), graph.clone(), {}};
  auto report = rotate(done.after, options);
  EXPECT_TRUE(report.ok());
  done.report = std::move(report).value();
  const Status valid = ir::verify(done.after);
  EXPECT_TRUE(valid.ok()) << (valid.ok() ? "" : valid.error().message());
  return done;
}

Rotated rotated(const std::string& text, const RotateOptions& options = {}) {
  return rotated(testing_graphs::graph_from(text), options);
}

/// Each of 10 layers behind one another sums up to 24 products: relative rounding errors of 24 halves of
/// 2^-23 for each, in both graphs, and as much again because some channels are small beside the largest.
constexpr double kRounding = 2 * 2 * 10 * 24 * 0x1p-24;

void expect_same_answers(const Rotated& done) {
  const TensorMap inputs = testing_graphs::inputs_for(done.before, 3);
  const auto a = runtime::reference::run(done.before, inputs),
             b = runtime::reference::run(done.after, inputs);
  ASSERT_TRUE(a.ok() && b.ok());
  for (const auto& [name, tensor] : *a)
    EXPECT_LT(testing_graphs::distance(b->at(name), tensor), kRounding) << name;
}

std::vector<float> numbers(const ir::Graph& graph, const std::string& node_output, int input) {
  return to_floats(graph.find_value(node_output)->producer()->input(input)->constant());
}

/// x R by the definition, from images of unit vectors.
std::vector<double> times(const std::vector<double>& x, const Rotation& rotation) {
  std::vector<double> sums(x.size(), 0);
  for (size_t i = 0; i < x.size(); ++i) {
    std::vector<double> unit(x.size(), 0);
    unit[i] = 1;
    rotation.apply(unit);
    for (size_t j = 0; j < x.size(); ++j) sums[j] += x[i] * unit[j];
  }
  return sums;
}

TEST(Rotate, StreamsAndValuesOfEveryForm) {
  for (const NormForm form : kForms)
    for (const bool biases : {false, true})
      for (const bool tied : {false, true}) {
        SCOPED_TRACE(fmt::format("form {}, biases {}, tied {}", static_cast<int>(form), biases, tied));
        const Rotated done = rotated(transformer({.norm = form, .biases = biases, .tied = tied}));
        EXPECT_THAT(done.report.left_alone, testing::IsEmpty());
        ASSERT_EQ(done.report.streams.size(), 1U);
        const RotatedStream& s = done.report.streams[0];
        EXPECT_EQ(s.value, "x0");
        EXPECT_EQ(s.channels, 12);
        EXPECT_EQ(s.matrix, "Hadamard 12");
        EXPECT_EQ(s.norms, 3);
        EXPECT_EQ(s.writers, 5);  // table, positions, wo, w2, c2
        EXPECT_EQ(s.readers, 5);  // q, k, v, w1 and the last
        ASSERT_EQ(done.report.values.size(), 1U);
        EXPECT_TRUE(done.report.values[0].attention);
        EXPECT_EQ(done.report.values[0].block, 6);
        EXPECT_EQ(done.report.values[0].blocks, 2);
        expect_same_answers(done);
        for (const float g : to_floats(done.after.find_value("g2")->constant())) EXPECT_EQ(g, 1);
      }
}

TEST(Rotate, ConstantsAreTheProductsThatTheMethodSays) {
  const Rotated done = rotated(transformer({.norm = NormForm::rms}));
  const Rotation stream(12, 1), head(6, 1);
  const auto table = numbers(done.before, "e", 0), turned = numbers(done.after, "e", 0);
  for (size_t row = 0; row < 11; ++row) {
    const std::vector<double> wanted =
        times({table.begin() + row * 12, table.begin() + row * 12 + 12}, stream);
    for (size_t i = 0; i < 12; ++i)
      EXPECT_NEAR(static_cast<double>(turned[row * 12 + i]), wanted[i], 0x1p-23 * 12) << row;
  }
  // W_v: Rᵀ diag(gamma) W, and each head's six columns times the head's matrix.
  const auto wv = numbers(done.before, "v1", 1), gamma = numbers(done.before, "n1", 1);
  std::vector<std::vector<double>> rows(12, std::vector<double>(12));
  for (size_t o = 0; o < 12; ++o) {
    std::vector<double> column;
    for (size_t i = 0; i < 12; ++i)
      column.push_back(static_cast<double>(gamma[i]) * static_cast<double>(wv[i * 12 + o]));
    column = times(column, stream);
    for (size_t i = 0; i < 12; ++i) rows[i][o] = column[i];
  }
  const auto got = numbers(done.after, "v1", 1);
  for (size_t i = 0; i < 12; ++i)
    for (const int64_t first : {0, 6}) {
      const std::vector<double> wanted = times({rows[i].begin() + first, rows[i].begin() + first + 6}, head);
      for (size_t k = 0; k < 6; ++k)
        EXPECT_NEAR(static_cast<double>(got[i * 12 + static_cast<size_t>(first) + k]), wanted[k],
                    0x1p-22 * 12);
    }
}

TEST(Rotate, AnOutlierOfTheStreamIsSpread) {
  ir::Graph graph = transformer({.norm = NormForm::layer});
  Tensor table = graph.find_value("table")->constant().clone();
  for (size_t row = 0; row < 11; ++row) table.mutable_data<float>()[row * 12 + 4] = 100;
  graph.set_constant(graph.find_value("table"), table);
  ASSERT_TRUE(rotate(graph).ok());
  float largest = 0;
  for (const float x : to_floats(graph.find_value("table")->constant()))
    largest = std::max(largest, std::fabs(x));
  // 100 / sqrt(12) = 29 each; the reflection that keeps the mean may add twice its share of it.
  EXPECT_LT(largest, 75);
}

TEST(Rotate, TiedTablesComeApart) {
  const Rotated done = rotated(transformer({.norm = NormForm::rms, .tied = true}));
  EXPECT_EQ(done.before.find_value("y")->producer()->input(1),
            done.before.find_value("e")->producer()->input(0));
  EXPECT_NE(numbers(done.after, "y", 1), numbers(done.after, "e", 0));  // gamma is in one of them
}

TEST(Rotate, BetaGoesIntoBiases) {
  for (const NormForm form : {NormForm::layer, NormForm::layer_primitive}) {
    const Rotated done = rotated(transformer({.norm = form, .biases = true}));
    for (const float b : to_floats(done.after.find_value("b2")->constant())) EXPECT_EQ(b, 0);
    EXPECT_NE(numbers(done.after, "f1", 1), numbers(done.before, "f1", 1));
    const Rotated without = rotated(transformer({.norm = form}));
    for (const float b : to_floats(without.after.find_value("b2")->constant())) EXPECT_NE(b, 0);
  }
}

TEST(Rotate, BetaWithoutGammaOrBiasesStays) {
  ir::Graph graph = transformer({.norm = NormForm::layer});
  Tensor gamma = graph.find_value("g3")->constant().clone();
  gamma.mutable_data<float>()[7] = 0;
  graph.set_constant(graph.find_value("g3"), gamma);
  const Rotated done = rotated(graph, {.values = false});
  EXPECT_FALSE(done.report.changed());
  EXPECT_THAT(done.report.left_alone, testing::ElementsAre(testing::HasSubstr("x0: 'n3' has numbers")));
  EXPECT_THAT(done.report.note, testing::HasSubstr("nothing to rotate"));
}

TEST(Rotate, StreamsThatOthersReadAreLeftAlone) {
  const std::pair<TransformerForm, const char*> cases[] = {
      {{.returns = ", %x1 as \"x\""}, "'x1' is a result of the model"},
      {{.returns = ", %n3 as \"n\""}, "'n3' is a result of the model"},
      {{.extra = "  %z = Sigmoid(%x1)\n", .returns = ", %z as \"z\""}, "'x1' is read by Sigmoid 'z'"},
      {{.extra = "  %z = Mul(%x1, @g3)\n", .returns = ", %z as \"z\""}, "'x1' is read by Mul 'z'"},
      {{.extra = "  %z = Add(%n2, %x1)\n  %zz = Relu(%z)\n", .returns = ", %zz as \"z\""}, "is read by Relu"},
      {{.extra = "  %z = Transpose(%x1) {perm=[0,2,1]}\n", .returns = ", %z as \"z\""},
       "is read by Transpose"},
  };
  for (const NormForm norm : {NormForm::rms, NormForm::rms_primitive})
    for (auto [form, reason] : cases) {
      form.norm = norm;
      const Rotated done = rotated(transformer(form), {.values = false});
      EXPECT_FALSE(done.report.changed()) << reason;
      ASSERT_EQ(done.report.left_alone.size(), 1U) << reason;
      EXPECT_THAT(done.report.left_alone[0], testing::HasSubstr(reason));
      const TensorMap inputs = testing_graphs::inputs_for(done.before, 3);
      EXPECT_EQ(answers(done.before, inputs), answers(done.after, inputs));
    }
}

/// Normalisations between the sums, as BERT has them.
constexpr const char* kPostNorm = R"(graph g(%t: s64[2,5]) {
  @table: f32[11,8] = blob 0 352
  @g1: f32[8] = blob 1536 32
  @b1: f32[8] = blob 1600 32
  @g2: f32[8] = blob 1664 32
  @b2: f32[8] = blob 1728 32
  @w1: f32[8,8] = blob 2048 256
  @w2: f32[8,8] = blob 4096 256
  @wh: f32[8,3] = blob 6144 96
  %e = Gather(@table, %t) {axis=0}
  %n1 = LayerNormalization(%e, @g1, @b1) {axis=-1, epsilon=1e-05}
  %a = MatMul(%n1, @w1)
  %r = Relu(%a)
  %b = MatMul(%r, @w2)
  %s = Add(%b, %n1)
  %n2 = LayerNormalization(%s, @g2, @b2) {axis=-1, epsilon=1e-05}
  %y = MatMul(%n2, @wh)
  return %y as "y"
}
)";

TEST(Rotate, SumsOfWhatNormalisationsMakeAreLeftAlone) {
  const Rotated done = rotated(kPostNorm);
  EXPECT_FALSE(done.report.changed());
  EXPECT_THAT(done.report.left_alone,
              testing::ElementsAre(testing::HasSubstr("e: 'n1'"),
                                   testing::HasSubstr("s: 'n1' is made by a normalisation")));
}

/// One table of weights behind two normalisations of two streams.
TEST(Rotate, WeightsThatTwoStreamsReadComeApart) {
  const Rotated done = rotated(R"(graph g(%t: s64[2,5]) {
  @table: f32[11,8] = blob 0 352
  @other: f32[11,8] = blob 512 352
  @g1: f32[8] = blob 1536 32
  @g2: f32[8] = blob 1664 32
  @w: f32[8,8] = blob 2048 256
  %e = Gather(@table, %t) {axis=0}
  %f = Gather(@other, %t) {axis=0}
  %n1 = RMSNormalization(%e, @g1) {axis=-1, epsilon=1e-05}
  %n2 = RMSNormalization(%f, @g2) {axis=-1, epsilon=1e-05}
  %a = MatMul(%n1, @w)
  %b = MatMul(%n2, @w)
  %c = MatMul(%n1, @w)
  %d = Mul(%a, %b)
  %y = Mul(%d, %c)
  return %y as "y"
}
)");
  EXPECT_EQ(done.report.streams.size(), 2U);
  expect_same_answers(done);
  const auto weights = [&](const char* name) { return done.after.find_value(name)->producer()->input(1); };
  EXPECT_EQ(weights("a"), weights("c"));  // what is wanted alike stays one constant
  EXPECT_NE(weights("a"), weights("b"));
}

/// One table that two streams begin with, of which one takes means off.
TEST(Rotate, TablesOfTwoStreamsComeApart) {
  const Rotated done = rotated(R"(graph g(%t: s64[2,5]) {
  @table: f32[11,8] = blob 0 352
  @g: f32[8] = blob 1536 32
  @w: f32[8,8] = blob 2048 256
  %e = Gather(@table, %t) {axis=0}
  %f = Gather(@table, %t) {axis=0}
  %n1 = RMSNormalization(%e, @g) {axis=-1, epsilon=1e-05}
  %n2 = LayerNormalization(%f, @g) {axis=-1, epsilon=1e-05}
  %a = MatMul(%n1, @w)
  %b = MatMul(%n2, @w)
  %y = Mul(%a, %b)
  return %y as "y"
}
)");
  EXPECT_EQ(done.report.streams.size(), 2U);
  EXPECT_NE(numbers(done.after, "e", 0), numbers(done.after, "f", 0));
  expect_same_answers(done);
}

/// Weights and biases that take gamma and beta up, on their way from the stream into it.
TEST(Rotate, ProductsFromTheStreamIntoIt) {
  for (const char* product :
       {"Gemm(%n1, @w, @c) {alpha=0.5, beta=2.0}", "Gemm(%n1, @w, @c) {transB=1}", "Gemm(%n1, @w, @one)"}) {
    const Rotated done = rotated(fmt::format(R"(graph g(%t: s64[7]) {{
  @table: f32[11,8] = blob 0 352
  @g1: f32[8] = blob 1536 32
  @b1: f32[8] = blob 1600 32
  @w: f32[8,8] = blob 2048 256
  @c: f32[8] = blob 2560 32
  @one: f32[] = [1]
  @w2: f32[8,5] = blob 3072 160
  %e = Gather(@table, %t) {{axis=0}}
  %n1 = LayerNormalization(%e, @g1, @b1) {{axis=-1, epsilon=1e-05}}
  %a = {}
  %s = Add(%e, %a)
  %n2 = LayerNormalization(%s, @g1) {{axis=-1, epsilon=1e-05}}
  %y = MatMul(%n2, @w2)
  return %y as "y"
}}
)",
                                             product));
    ASSERT_EQ(done.report.streams.size(), 1U) << product;
    EXPECT_EQ(done.report.streams[0].norms, 2);
    expect_same_answers(done);
  }
}

TEST(Rotate, ProductsBehindOneAnother) {
  const auto text = [](const std::string& between) {
    return R"(graph g(%x: f32[3,7]) {
  @w1: f32[7,20] = blob 0 560
  @w2: f32[20,20] = blob 1024 1600
  @w3: f32[5,20] = blob 4096 400
  @b1: f32[20] = blob 6144 80
  @b2: f32[1] = blob 6400 4
  @half: f32[] = [0.5]
  @spread: f32[20] = blob 6656 80
  %a = Gemm(%x, @w1, @b2) {beta=0.5}
  %b = )" + between +
           R"(
  %c = MatMul(%b, @w2)
  %y = Gemm(%c, @w3) {transB=1}
  return %y as "y"
}
)";
  };
  for (const char* between : {"Add(%a, @b1)", "Mul(%a, @half)", "Sub(@b1, %a)"}) {
    const Rotated done = rotated(text(between));
    ASSERT_EQ(done.report.values.size(), 2U) << between;
    for (const RotatedValues& v : done.report.values) {
      EXPECT_EQ(v.matrix, "Hadamard 20");
      EXPECT_FALSE(v.attention);
    }
    expect_same_answers(done);
  }
  for (const char* between : {"Relu(%a)", "Mul(%a, @spread)", "Mul(%a, %a)", "Add(%a, @b2)"})
    EXPECT_EQ(rotated(text(between)).report.values.size(), 1U) << between;  // behind it only
}

/// Queries, keys and values out of one product, cut apart: only the values' columns are turned.
TEST(Rotate, ValuesOfOneProductForAll) {
  const Rotated done = rotated(R"(graph g(%x: f32[2,5,8]) {
  @w: f32[8,24] = blob 0 768
  @c: f32[24] = blob 1024 96
  @wo: f32[8,8] = blob 2048 256
  @parts: s64[3] = [8,8,8]
  @heads: s64[4] = [0,0,2,4]
  @flat: s64[3] = [0,0,8]
  %a = MatMul(%x, @w)
  %b = Add(%a, @c)
  %q, %k, %v = Split(%b, @parts) {axis=-1}
  %q1 = Reshape(%q, @heads)
  %k1 = Reshape(%k, @heads)
  %v1 = Reshape(%v, @heads)
  %q2 = Transpose(%q1) {perm=[0,2,1,3]}
  %k2 = Transpose(%k1) {perm=[0,2,3,1]}
  %v2 = Transpose(%v1) {perm=[0,2,1,3]}
  %l = MatMul(%q2, %k2)
  %m = Softmax(%l) {axis=-1}
  %o = MatMul(%m, %v2)
  %o1 = Transpose(%o) {perm=[0,2,1,3]}
  %o2 = Reshape(%o1, @flat)
  %y = MatMul(%o2, @wo)
  return %y as "y"
}
)");
  ASSERT_EQ(done.report.values.size(), 1U);
  EXPECT_EQ(done.report.values[0].block, 4);
  EXPECT_EQ(done.report.values[0].blocks, 2);
  expect_same_answers(done);
  const auto before = numbers(done.before, "a", 1), after = numbers(done.after, "a", 1);
  for (size_t i = 0; i < before.size(); ++i) {
    EXPECT_EQ(before[i] == after[i], i % 24 < 16) << i;
  }
}

TEST(Rotate, ValuesWithAFunctionBetweenAreLeftAloneByName) {
  std::string text = transformer_text({.norm = NormForm::rms});
  const std::string from = "%v2 = Reshape(%v1, @heads)";
  text.replace(text.find(from), from.size(), "%vr = Relu(%v1)\n  %v2 = Reshape(%vr, @heads)");
  const Rotated done = rotated(text, {.stream = false});
  EXPECT_FALSE(done.report.changed());
  ASSERT_EQ(done.report.left_alone.size(), 1U);
  EXPECT_THAT(done.report.left_alone[0], testing::HasSubstr("o1: Relu 'vr' lies between"));
}

}  // namespace
}  // namespace narrow::quant
