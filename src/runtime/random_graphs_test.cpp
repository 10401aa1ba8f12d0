// Small graphs drawn at random out of what shares memory: Concats, Splits and Slices of channels, residuals,
// windows in between. In 8 bits bit for bit what the plain backend gives, which shares none of it; FP32 as
// near as sums in another order are.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "kernels/test_isas.h"
#include "runtime/session.h"
#include "runtime/test_graphs.h"
#include "runtime/test_merging.h"

namespace narrow::runtime {
namespace {

using testing_graphs::graph_from;
using testing_graphs::inputs_for;

/// With `bytes` in QDQ: each step's result is quantized, all with one scale but for some that have another.
class Writer {
 public:
  Writer(uint64_t seed, bool bytes) : random_(seed), bytes_(bytes) {
    keep("x", 8, false);
    for (int64_t steps = random_.integer(4, 14); steps > 0; --steps) add_step();
  }

  std::string text() {
    std::string returned;
    for (size_t i = 1; i < values_.size(); ++i) {
      const bool last = i + 1 == values_.size();
      if (last || random_.integer(0, 3) == 0)
        returned +=
            fmt::format("{}%{} as \"{}\"", returned.empty() ? "" : ", ", values_[i].name, values_[i].name);
    }
    return "graph g(%x: f32[N,8,7,5]) {\n  @t: f32[] = [0.05]\n  @z: u8[] = [120]\n  @other: f32[] = [0.08]\n"
           "  @ws: f32[] = [0.005]\n" +
           constants_ + steps_ + "  return " + returned + "\n}\n";
  }

 private:
  struct Value {
    std::string name;
    int64_t channels;
  };

  /// The latest ones more often.
  Value any() {
    const auto last = static_cast<int64_t>(values_.size()) - 1;
    return values_[static_cast<size_t>(std::max(random_.integer(0, last), random_.integer(0, last)))];
  }
  std::string fresh() { return fmt::format("n{}", count_++); }

  /// Quantized and back; now and then by another scale.
  std::string rounded(const std::string& raw, bool may_rescale) {
    if (!bytes_) return raw;
    std::string name = fresh();
    const char* scale = may_rescale && random_.integer(0, 5) == 0 ? "@other" : "@t";
    steps_ +=
        fmt::format("  %{0}q = QuantizeLinear(%{1}, {2}, @z)\n  %{0} = DequantizeLinear(%{0}q, {2}, @z)\n",
                    name, raw, scale);
    return name;
  }
  void keep(const std::string& raw, int64_t channels, bool may_rescale) {
    const std::string name = rounded(raw, may_rescale);
    values_.push_back({name, channels});
  }

  /// The weights of a convolution, dequantized.
  std::string weights(int64_t oc, int64_t c, int64_t side) {
    const std::string name = fresh();
    constants_ +=
        fmt::format("  @{}: {}[{},{},{},{}] = blob {} {}\n", name, bytes_ ? "s8" : "f32", oc, c, side, side,
                    random_.integer(0, 100) * 64, oc * c * side * side * (bytes_ ? 1 : 4));
    if (!bytes_) return "@" + name;
    steps_ += fmt::format("  %{0}d = DequantizeLinear(@{0}, @ws)\n", name);
    return "%" + name + "d";
  }

  void convolution() {
    const Value x = any();
    const bool depthwise = random_.integer(0, 2) == 0, wide = random_.integer(0, 1) == 0;
    const int64_t oc = depthwise ? x.channels : random_.integer(1, 6) * (random_.integer(0, 2) == 0 ? 3 : 4);
    const std::string w = weights(oc, depthwise ? 1 : x.channels, wide ? 3 : 1), y = fresh();
    steps_ += fmt::format("  %{} = Conv(%{}, {}) {{group={}, pads=[{p},{p},{p},{p}]}}\n", y, x.name, w,
                          depthwise ? x.channels : 1, fmt::arg("p", wide ? 1 : 0));
    std::string result = y;
    if (random_.integer(0, 2) == 0)
      for (const Value& other : values_)
        if (other.channels == oc && result == y) {
          result = fresh();
          steps_ += fmt::format("  %{} = Add(%{}, %{})\n", result, y, other.name);
        }
    if (random_.integer(0, 2) == 0) {
      const std::string relu = fresh();
      steps_ += fmt::format("  %{} = Relu(%{})\n", relu, result);
      result = relu;
    }
    keep(result, oc, true);
  }

  /// Convolutions of one value through one window, each read by another one, and now and then by others.
  void parallel() {
    const Value x = any();
    const int64_t side = random_.integer(0, 1) == 0 ? 3 : 1;
    const bool relu = random_.integer(0, 1) == 0;
    for (int64_t count = random_.integer(2, 3); count > 0; --count) {
      const int64_t inner = random_.integer(1, 20), outer = random_.integer(1, 5);
      const std::string w = weights(inner, x.channels, side), v = weights(outer, inner, 1), a = fresh(),
                        r = fresh(), c = fresh();
      steps_ += fmt::format("  %{} = Conv(%{}, {}) {{pads=[{p},{p},{p},{p}]}}\n", a, x.name, w,
                            fmt::arg("p", side / 2));
      if (relu) steps_ += fmt::format("  %{} = Relu(%{})\n", r, a);
      const std::string read = rounded(relu ? r : a, true);
      if (random_.integer(0, 3) == 0) values_.push_back({read, inner});
      steps_ += fmt::format("  %{} = Conv(%{}, {})\n", c, read, v);
      keep(c, outer, true);
    }
  }

  void split() {
    const Value x = any();
    if (x.channels < 3) return;
    const int64_t first = random_.integer(1, x.channels - 2),
                  second = random_.integer(1, x.channels - first - 1), third = x.channels - first - second;
    const std::string sizes = fresh(), a = fresh(), b = fresh(), c = fresh();
    constants_ += fmt::format("  @{}: s64[3] = [{},{},{}]\n", sizes, first, second, third);
    steps_ += fmt::format("  %{}, %{}, %{} = Split(%{}, @{}) {{axis=1}}\n", a, b, c, x.name, sizes);
    values_.insert(values_.end(), {{a, first}, {b, second}, {c, third}});
  }

  void slice() {
    const Value x = any();
    const int64_t first = random_.integer(0, x.channels - 1), end = random_.integer(first + 1, x.channels);
    const std::string from = fresh(), to = fresh(), axis = fresh(), y = fresh();
    constants_ += fmt::format("  @{}: s64[1] = [{}]\n  @{}: s64[1] = [{}]\n  @{}: s64[1] = [1]\n", from,
                              random_.integer(0, 1) == 0 ? first : first - x.channels, to, end, axis);
    steps_ += fmt::format("  %{} = Slice(%{}, @{}, @{}, @{})\n", y, x.name, from, to, axis);
    values_.push_back({y, end - first});
  }

  void concat() {
    const Value a = any(), b = any(), c = any();
    const bool three = random_.integer(0, 1) == 0;
    if (a.channels + b.channels + c.channels > 96) return;
    const std::string y = fresh();
    steps_ += fmt::format("  %{} = Concat(%{}, %{}{}) {{axis=1}}\n", y, a.name, b.name,
                          three ? ", %" + c.name : "");
    keep(y, a.channels + b.channels + (three ? c.channels : 0), false);
  }

  void pool() {
    const Value x = any();
    const std::string y = fresh();
    steps_ += fmt::format("  %{} = MaxPool(%{}) {{kernel_shape=[3,3], pads=[1,1,1,1]}}\n", y, x.name);
    keep(y, x.channels, false);
  }

  void add_step() {
    switch (random_.integer(0, 9)) {
      case 0:
        return split();
      case 1:
        return slice();
      case 2:
      case 3:
      case 4:
        return concat();
      case 5:
        return pool();
      case 6:
        return parallel();
      default:
        return convolution();
    }
  }

  Random random_;
  bool bytes_;
  std::vector<Value> values_;
  std::string constants_, steps_;
  int count_ = 0;
};

Session session_of(const ir::Graph& graph, const SessionOptions& options, int threads) {
  auto session = Session::create(graph, std::make_shared<ThreadPool>(threads), options);
  EXPECT_TRUE(session.ok()) << (session.ok() ? "" : session.error().message());
  return std::move(session).value();
}

TEST(RandomGraphs, SharingMemoryChangesNothing) {
  std::map<std::string, int> aliases;
  int plans = 0;
  for (uint64_t seed = 1; seed <= 600; ++seed) {
    const bool bytes = seed % 4 != 0;
    const std::string text = Writer(seed, bytes).text();
    SCOPED_TRACE(fmt::format("seed {}\n{}", seed, text));
    const ir::Graph graph = graph_from(text);
    const int64_t batch = seed % 3 == 0 ? 4 : 1;
    const TensorMap inputs = inputs_for(graph, seed, batch);
    SessionOptions plain;
    plain.reference_only = true;
    const auto wanted = session_of(graph, plain, 1).run(inputs);
    ASSERT_TRUE(wanted.ok()) << wanted.error().message();
    for (const Isa isa : {Isa::plain, Isa::avx2, Isa::avx512_vnni, usable_isa()}) {
      if (!runs_here(isa)) continue;
      SessionOptions options;
      options.max_isa = isa;
      if (seed % 2 == 0) options.slices = {.cache_bytes = 3 << 10, .step = 10, .pass = 1, .bands_from = 1e-3};
      Session session = session_of(graph, options, 1 + static_cast<int>(seed % 2));
      for (int again = 0; again < 2; ++again) {
        const auto got = session.run(inputs);
        ASSERT_TRUE(got.ok()) << got.error().message();
        for (const auto& [name, tensor] : *wanted)
          ASSERT_TRUE(bytes ? got->at(name).same_bits(tensor)
                            : testing_graphs::distance(got->at(name), tensor) < 1e-4)
              << to_string(isa) << " " << name;
      }
      const auto info = session.plan_info({{"x", inputs.at("x").shape()}});
      ASSERT_TRUE(info.ok());
      ++plans;
      for (const StepChoice& step : info->steps)
        if (step.kernel == "alias") ++aliases[step.op];
    }
  }
  for (const char* op : {"Concat", "Split", "Slice"})
    EXPECT_GT(aliases[op], plans / 40) << op << " in " << plans << " plans";
}

/// The same bits, of floats too: each output is summed as it was.
TEST(RandomGraphs, MergingConvolutionsChangesNothing) {
  std::map<bool, int64_t> merged;  // by whether they compute in bytes
  for (uint64_t seed = 1; seed <= 600; ++seed) {
    const bool bytes = seed % 3 != 0;
    const std::string text = Writer(seed, bytes).text();
    SCOPED_TRACE(fmt::format("seed {}\n{}", seed, text));
    const ir::Graph graph = graph_from(text);
    const TensorMap inputs = inputs_for(graph, seed, seed % 4 == 0 ? 3 : 1);
    const std::map<std::string, Shape> shapes = {{"x", inputs.at("x").shape()}};
    for (const Isa isa : {Isa::avx2, Isa::avx512_vnni, usable_isa()}) {
      if (!runs_here(isa)) continue;
      SessionOptions options;
      options.max_isa = isa;
      if (seed % 2 == 0) options.slices = {.cache_bytes = 3 << 10, .step = 10, .pass = 1, .bands_from = 1e-3};
      Session apart = session_of(graph, options, 1);
      options.tactics = testing_graphs::merging_tactics(apart, shapes, isa);
      Session as_one = session_of(graph, options, 2);
      merged[bytes] += testing_graphs::merged_steps(as_one, shapes);
      const auto wanted = apart.run(inputs), got = as_one.run(inputs);
      ASSERT_TRUE(wanted.ok() && got.ok());
      for (const auto& [name, tensor] : *wanted)
        ASSERT_TRUE(got->at(name).same_bits(tensor)) << to_string(isa) << " " << name;
    }
  }
  for (const bool bytes : {false, true}) EXPECT_GT(merged[bytes], 20) << bytes;
}

}  // namespace
}  // namespace narrow::runtime
