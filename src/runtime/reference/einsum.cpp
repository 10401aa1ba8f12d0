// Einsum, the general form: every label is an axis, the result sums over the labels it lacks.
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <map>
#include <sstream>

#include "runtime/reference/functions.h"

namespace narrow::runtime::reference {
namespace {

constexpr size_t kMostOperands = 8;
constexpr int64_t kMostSteps = int64_t{1} << 36;  // minutes of work: beyond, the model is not meant seriously
/// Labels are letters; the axes of an ellipsis are numbered below 0, -1 the last one.
using Labels = std::vector<int64_t>;

/// "b...ij" for an operand whose ellipsis stands for `hidden` axes.
Result<Labels> labels_of(const ir::Node& node, const std::string& term, int64_t hidden) {
  Labels labels;
  for (size_t i = 0; i < term.size(); ++i) {
    if (term.compare(i, 3, "...") == 0) {
      for (int64_t k = hidden; k > 0; --k) labels.push_back(-k);
      i += 2;
    } else if (std::isalpha(static_cast<unsigned char>(term[i])) != 0) {
      labels.push_back(term[i]);
    } else {
      return invalid(node, "letters and '...' in the equation", term);
    }
  }
  return labels;
}

struct Equation {
  std::vector<Labels> operands;
  Labels result;
};

/// Without "->" the result has the ellipsis, then the labels that occur once, sorted.
Labels implied_result(const std::vector<Labels>& operands, int64_t widest) {
  std::map<int64_t, int> seen;
  for (const Labels& labels : operands)
    for (const int64_t label : labels) ++seen[label];
  Labels result;
  for (int64_t k = widest; k > 0; --k) result.push_back(-k);
  for (const auto& [label, times] : seen)
    if (label > 0 && times == 1) result.push_back(label);
  return result;
}

Result<Equation> parse(const ir::Node& node, Inputs inputs) {
  std::string text = node.string_attr("equation", "");
  std::erase_if(text, [](unsigned char c) { return std::isspace(c) != 0; });
  const size_t arrow = text.find("->");
  std::istringstream left(text.substr(0, arrow));
  Equation e;
  int64_t widest = 0;
  std::string term;
  for (const Tensor* t : inputs) {
    if (!std::getline(left, term, ',') && t->rank() > 0) return invalid(node, "one term per input", text);
    const auto letters = std::count_if(term.begin(), term.end(), [](char c) { return c != '.'; });
    const int64_t hidden = term.find('.') == std::string::npos ? 0 : t->rank() - letters;
    if (hidden < 0) return invalid(node, "terms of the inputs' ranks", text);
    widest = std::max(widest, hidden);
    NARROW_TRY(Labels labels, labels_of(node, term, hidden));
    if (static_cast<int64_t>(labels.size()) != t->rank())
      return invalid(node, "terms of the inputs' ranks", text);
    e.operands.push_back(std::move(labels));
    term.clear();
  }
  if (std::getline(left, term, ',')) return invalid(node, "one term per input", text);
  if (arrow == std::string::npos) {
    e.result = implied_result(e.operands, widest);
    return e;
  }
  NARROW_TRY(e.result, labels_of(node, text.substr(arrow + 2), widest));
  return e;
}

/// The loop over all labels: those of the result first. strides[k] reads operand k.
struct Loop {
  Shape shape, result;
  std::array<std::vector<int64_t>, kMostOperands> strides;
  int64_t sums = 1;  // loop steps per element of the result
};

Result<Loop> plan(const ir::Node& node, Inputs inputs, const Equation& e) {
  std::map<int64_t, int64_t> sizes;
  for (size_t k = 0; k < inputs.size(); ++k)
    for (size_t d = 0; d < e.operands[k].size(); ++d) {
      int64_t& size = sizes.try_emplace(e.operands[k][d], 1).first->second;
      const int64_t here = inputs[k]->shape()[d];
      if (size != 1 && here != 1 && size != here)
        return invalid(node, "equal sizes for equal labels", fmt::format("{} and {}", size, here));
      if (here != 1) size = here;
    }
  Labels order = e.result;
  for (size_t i = 0; i < order.size(); ++i)
    if (!sizes.contains(order[i]) || std::count(order.begin(), order.end(), order[i]) != 1)
      return invalid(node, "each result label once, from an operand", node.string_attr("equation", ""));
  Loop loop;
  for (const auto& [label, size] : sizes)
    if (std::find(order.begin(), order.end(), label) == order.end())
      order.push_back(label), loop.sums *= size;
  for (const int64_t label : order) loop.shape.push_back(sizes[label]);
  loop.result.assign(loop.shape.begin(), loop.shape.begin() + static_cast<std::ptrdiff_t>(e.result.size()));
  const Result<int64_t> steps = checked_elements(loop.shape, 1);
  if (!steps.ok() || *steps > kMostSteps)
    return unsupported(node, fmt::format("at most {} products", kMostSteps), to_string(loop.shape));
  for (size_t k = 0; k < kMostOperands; ++k) {
    loop.strides[k].assign(order.size(), 0);
    if (k >= inputs.size()) continue;
    const std::vector<int64_t> own = row_major_strides(inputs[k]->shape());
    for (size_t d = 0; d < own.size(); ++d) {
      const auto at = std::find(order.begin(), order.end(), e.operands[k][d]) - order.begin();
      if (inputs[k]->shape()[d] != 1) loop.strides[k][static_cast<size_t>(at)] += own[d];
    }
  }
  return loop;
}

}  // namespace

Outputs eval_einsum(const ir::Node& node, Inputs inputs) {
  if (inputs.size() > kMostOperands)
    return unsupported(node, "at most 8 inputs", std::to_string(inputs.size()));
  for (const Tensor* t : inputs)
    if (t == nullptr || t->dtype() != inputs[0]->dtype())
      return invalid(node, "inputs of one type", "others");
  NARROW_TRY(const Equation equation, parse(node, inputs));
  NARROW_TRY(const Loop loop, plan(node, inputs, equation));
  NARROW_TRY(Tensor y, make_tensor(node, inputs[0]->dtype(), loop.result));
  return for_numbers(node, y.dtype(), [&](auto tag) -> Outputs {
    using T = decltype(tag);
    std::array<const T*, kMostOperands> data{};
    for (size_t k = 0; k < inputs.size(); ++k) data[k] = inputs[k]->data<T>().data();
    std::vector<Sum<T>> acc(static_cast<size_t>(y.elements()), 0);
    walk<kMostOperands>(loop.shape, loop.strides, [&](int64_t i, const auto& at) {
      Sum<T> product = 1;
      for (size_t k = 0; k < inputs.size(); ++k) product *= static_cast<Sum<T>>(data[k][at[k]]);
      acc[static_cast<size_t>(i / loop.sums)] += product;
    });
    std::transform(acc.begin(), acc.end(), y.mutable_data<T>().begin(),
                   [](Sum<T> s) { return static_cast<T>(s); });
    return one(std::move(y));
  });
}

}  // namespace narrow::runtime::reference
