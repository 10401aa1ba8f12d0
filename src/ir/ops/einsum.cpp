#include <algorithm>
#include <cctype>
#include <map>
#include <string>
#include <string_view>

#include "ir/ops/families.h"
#include "ir/ops/support.h"

namespace narrow::ir::ops {
namespace {

/// One side of an equation: letters before and after an ellipsis.
struct Term {
  std::string before, after;
  bool ellipsis = false;
  size_t letters() const { return before.size() + after.size(); }
};

std::optional<Term> parse_term(std::string_view text) {
  Term term;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text.substr(i, 3) == "..." && !term.ellipsis) {
      term.ellipsis = true;
      i += 2;
    } else if (std::isalpha(static_cast<unsigned char>(text[i])) != 0) {
      (term.ellipsis ? term.after : term.before) += text[i];
    } else {
      return std::nullopt;
    }
  }
  return term;
}

struct Equation {
  std::vector<Term> inputs;
  Term output;
};

/// Without "->": the letters that appear once, in alphabetical order, after the ellipsis.
Term implied_output(const std::vector<Term>& inputs) {
  std::map<char, int> count;
  Term output;
  for (const Term& term : inputs) {
    output.ellipsis |= term.ellipsis;
    for (const char c : term.before + term.after) ++count[c];
  }
  for (const auto& [letter, n] : count)
    if (n == 1) output.after += letter;
  return output;
}

std::optional<Equation> parse_equation(std::string text) {
  std::erase(text, ' ');
  Equation equation;
  const size_t arrow = text.find("->");
  std::string_view left = std::string_view(text).substr(0, arrow);
  for (bool more = true; more;) {
    const size_t comma = left.find(',');
    const auto term = parse_term(left.substr(0, comma));
    if (!term) return std::nullopt;
    equation.inputs.push_back(*term);
    more = comma != std::string_view::npos;
    if (more) left.remove_prefix(comma + 1);
  }
  if (arrow == std::string::npos) {
    equation.output = implied_output(equation.inputs);
    return equation;
  }
  const auto output = parse_term(std::string_view(text).substr(arrow + 2));
  if (!output) return std::nullopt;
  equation.output = *output;
  return equation;
}

struct Bindings {
  std::map<char, Dim> letters;
  Dims ellipsis;
};

/// Binds the letters of one term to the dims of its input; equal letters broadcast.
Status bind_term(const NodeView& view, const Term& term, const Dims& dims, Bindings& bound) {
  const bool fits = term.ellipsis ? dims.size() >= term.letters() : dims.size() == term.letters();
  if (!fits) return view.error("a letter per dim of every input", to_string(dims));
  const auto bind = [&](char letter, const Dim& dim) {
    const auto it = bound.letters.find(letter);
    const auto merged = it == bound.letters.end() ? std::optional(dim) : broadcast(it->second, dim);
    if (merged) bound.letters[letter] = *merged;
    return merged.has_value();
  };
  for (size_t i = 0; i < term.before.size(); ++i)
    if (!bind(term.before[i], dims[i])) return view.error("equal dims for a letter", to_string(dims));
  const size_t tail = dims.size() - term.after.size();
  for (size_t i = 0; i < term.after.size(); ++i)
    if (!bind(term.after[i], dims[tail + i])) return view.error("equal dims for a letter", to_string(dims));
  const auto at = [&](size_t i) { return dims.begin() + static_cast<std::ptrdiff_t>(i); };
  NARROW_TRY(bound.ellipsis, broadcast(view, bound.ellipsis, Dims(at(term.before.size()), at(tail))));
  return {};
}

Inferred infer_einsum(const NodeView& view) {
  std::vector<int> all;
  for (int i = 0; i < view.inputs(); ++i) all.push_back(i);
  NARROW_TRY(const DType dtype, common_dtype(view, all));
  const std::string text = view.node().string_attr("equation", "");
  const auto equation = parse_equation(text);
  if (!equation || equation->inputs.size() != all.size())
    return view.error("an equation with a term per input", "'" + text + "'");
  Bindings bound;
  for (const int i : all) {
    if (!view.type(i).ranked) return Types{TensorType::unranked(dtype)};
    NARROW_DO(bind_term(view, equation->inputs[static_cast<size_t>(i)], view.type(i).dims, bound));
  }
  Dims y;
  const auto append = [&](const std::string& letters) {
    for (const char c : letters) {
      if (!bound.letters.contains(c)) return false;
      y.push_back(bound.letters.at(c));
    }
    return true;
  };
  bool good = append(equation->output.before);
  if (equation->output.ellipsis) y.insert(y.end(), bound.ellipsis.begin(), bound.ellipsis.end());
  good = append(equation->output.after) && good;
  if (!good) return view.error("output letters that an input has", "'" + text + "'");
  return Types{ranked(dtype, std::move(y))};
}

}  // namespace

Schemas einsum_ops() {
  return {{.op = Op::Einsum,
           .domain = "",
           .since = 12,
           .doc = "products summed over the letters that equation's output lacks",
           .inputs = {{.name = "Inputs", .types = kNumbers, .optional = false, .variadic = true}},
           .outputs = {{"Output", kNumbers}},
           .infer = infer_einsum}};
}

}  // namespace narrow::ir::ops
