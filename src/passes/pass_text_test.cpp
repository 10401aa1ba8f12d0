// Every tests/passes/<pass>/<case>.nir: a comment with the case's point, then
//
//   before:
//   graph ...
//   after:
//   graph ...            or the word "unchanged"
//
// The pass named by the folder must turn the one into the other, up to names of inner values and the order of
// nodes, and find nothing more to do in its own result.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <sstream>
#include <unordered_map>

#include "ir/schema.h"
#include "ir/text.h"
#include "passes/pass.h"

namespace narrow::passes {
namespace {

namespace fs = std::filesystem;
using ir::Graph;
using ir::Node;
using ir::Value;

// ---------------------------------------------------------------- canonical text

std::string text_of(const Tensor& tensor) {
  std::string text = fmt::format("{}{}", to_string(tensor.dtype()), to_string(tensor.shape()));
  if (is_float(tensor.dtype())) {
    for (const float v : to_floats(tensor)) text += fmt::format(" {:.6g}", v);
  } else {
    for (const int64_t v : to_ints(tensor)) text += fmt::format(" {}", v);
  }
  return text;
}

template <class T>
std::string joined(const std::vector<T>& values) {
  std::string text;
  for (const T& v : values) text += fmt::format("{},", v);
  return "[" + text + "]";
}

struct AttributeText {
  std::string operator()(int64_t v) const { return std::to_string(v); }
  std::string operator()(float v) const { return fmt::format("{:.6g}f", v); }
  std::string operator()(const std::string& v) const { return v; }
  std::string operator()(const std::vector<int64_t>& v) const { return joined(v); }
  std::string operator()(const std::vector<float>& v) const { return joined(v); }
  std::string operator()(const std::vector<std::string>& v) const { return joined(v); }
  std::string operator()(const Tensor& v) const { return text_of(v); }
  std::string operator()(const std::shared_ptr<Graph>&) const { return "graph"; }
};

/// The graph as text in which inner names and node order do not appear: nodes in the order outputs need them.
class Canonical {
 public:
  explicit Canonical(const Graph& graph) {
    for (const Value* input : graph.inputs()) {
      names_[input] = "%" + input->name;
      text_ += fmt::format("input %{}: {}\n", input->name, ir::to_string(input->type));
    }
    std::string returned;
    for (const ir::GraphOutput& output : graph.outputs())
      returned += fmt::format("return {} as {}\n", name(output.value), output.name);
    text_ += returned;
  }
  const std::string& text() const { return text_; }

 private:
  std::string name(const Value* value) {
    if (value == nullptr) return "-";
    if (const auto it = names_.find(value); it != names_.end()) return it->second;
    if (value->is_constant()) {
      std::string text = text_of(value->constant());
      if (value->type.quant) text += ir::to_string(value->type);
      return names_[value] = "(" + text + ")";
    }
    write(value->producer());
    return names_.at(value);
  }

  void write(const Node* node) {
    std::string line;
    for (const Value* input : node->inputs()) line += name(input) + " ";
    std::string made;
    for (const Value* output : node->outputs()) {
      names_[output] = fmt::format("%{}", count_++);
      made += fmt::format("{}: {} ", names_[output], ir::to_string(output->type));
    }
    line = fmt::format("{}= {} {}{{", made, ir::to_string(node->op()), line);
    for (const auto& [key, value] : node->attrs)
      line += fmt::format("{}={} ", key, std::visit(AttributeText(), value));
    text_ += line + "}\n";
  }

  std::unordered_map<const Value*, std::string> names_;
  std::string text_;
  int count_ = 0;
};

std::string canonical(const Graph& graph) { return Canonical(graph).text(); }

// ---------------------------------------------------------------- cases

struct Case {
  std::string before, after;
};

/// Sections start with a line "before:" or "after:".
Case read_case(const fs::path& path) {
  std::ifstream file(path);
  Case result;
  std::string line;
  std::string* section = nullptr;
  while (std::getline(file, line)) {
    if (line == "before:")
      section = &result.before;
    else if (line == "after:")
      section = &result.after;
    else if (section != nullptr)
      *section += line + "\n";
  }
  return result;
}

Result<Graph> parsed(const std::string& text) {
  NARROW_TRY(Graph graph, ir::parse(text));
  NARROW_DO(ir::infer_types(graph));
  NARROW_DO(ir::verify(graph));
  return graph;
}

/// Running sums of integers; numbers added to a list at places, each once.
std::vector<Tensor> sums_of(const Tensor& x) {
  std::vector<int64_t> sums = to_ints(x);
  std::partial_sum(sums.begin(), sums.end(), sums.begin());
  return {Tensor::of(x.shape(), sums)};
}
std::vector<Tensor> scattered(const Tensor& x, const Tensor& places, const Tensor& values) {
  std::vector<float> list = to_floats(x);
  const std::vector<int64_t> at = to_ints(places);
  for (size_t i = 0; i < at.size(); ++i) list[static_cast<size_t>(at[i])] += to_floats(values)[i];
  return {Tensor::of(x.shape(), list)};
}

/// Arithmetic enough to see that folding evaluates: casts, codes times one scale, sums of two equally shaped
/// float tensors, and what puts weights apart in their places.
Result<std::vector<Tensor>> evaluate_some(const Node& node, std::span<const Tensor* const> inputs) {
  if (node.op() == ir::Op::Cast) return std::vector<Tensor>{cast(*inputs[0], node.output()->type.dtype)};
  if (node.op() == ir::Op::DequantizeLinear && inputs.size() == 2) {
    std::vector<float> real = to_floats(*inputs[0]);
    for (float& x : real) x *= to_floats(*inputs[1])[0];
    return std::vector<Tensor>{Tensor::of(inputs[0]->shape(), real)};
  }
  if (node.op() == ir::Op::Reshape)
    return std::vector<Tensor>{inputs[0]->reshaped(node.output()->type.shape())};
  if (node.op() == ir::Op::CumSum) return sums_of(*inputs[0]);
  if (node.op() == ir::Op::ScatterElements) return scattered(*inputs[0], *inputs[1], *inputs[2]);
  if (node.op() != ir::Op::Add || inputs[0]->shape() != inputs[1]->shape())
    return Error{.code = Code::unsupported, .subject = node.location()};
  std::vector<float> sum = to_floats(*inputs[0]);
  const std::vector<float> b = to_floats(*inputs[1]);
  for (size_t i = 0; i < sum.size(); ++i) sum[i] += b[i];
  return std::vector<Tensor>{Tensor::of(inputs[0]->shape(), sum)};
}

std::vector<fs::path> all_cases() {
  std::vector<fs::path> cases;
  const fs::path root = fs::path(NARROW_SOURCE_DIR) / "tests" / "passes";
  for (const auto& entry : fs::recursive_directory_iterator(root))
    if (entry.path().extension() == ".nir") cases.push_back(entry.path());
  std::sort(cases.begin(), cases.end());
  return cases;
}

class PassText : public testing::TestWithParam<fs::path> {};

TEST_P(PassText, TurnsBeforeIntoAfter) {
  const fs::path path = GetParam();
  SCOPED_TRACE(path.string());
  const Pass* pass = find_pass(path.parent_path().filename().string());
  ASSERT_NE(pass, nullptr) << "the folder names no pass";
  const Case text = read_case(path);
  ASSERT_FALSE(text.before.empty() || text.after.empty());
  auto graph = parsed(text.before);
  ASSERT_TRUE(graph.ok()) << graph.error().message();
  const std::string before = canonical(*graph);
  const PassContext context{.evaluate = evaluate_some};

  const auto records = run_passes(*graph, std::span(pass, 1), context);
  ASSERT_TRUE(records.ok()) << records.error().message();
  if (text.after.starts_with("unchanged")) {
    EXPECT_EQ(records->at(0).changes, 0);
    EXPECT_EQ(canonical(*graph), before);
    return;
  }
  const auto after = parsed(text.after);
  ASSERT_TRUE(after.ok()) << after.error().message();
  EXPECT_EQ(canonical(*graph), canonical(*after)) << ir::print(*graph);

  const std::string once = canonical(*graph);
  const auto again = run_passes(*graph, std::span(pass, 1), context);
  ASSERT_TRUE(again.ok()) << again.error().message();
  EXPECT_EQ(again->at(0).changes, 0) << "not idempotent";
  EXPECT_EQ(canonical(*graph), once);
}

INSTANTIATE_TEST_SUITE_P(Files, PassText, testing::ValuesIn(all_cases()),
                         [](const testing::TestParamInfo<fs::path>& test) {
                           std::string name = test.param.parent_path().filename().string() + "_" +
                                              test.param.stem().string();
                           std::replace_if(
                               name.begin(), name.end(),
                               [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; }, '_');
                           return name;
                         });

}  // namespace
}  // namespace narrow::passes
