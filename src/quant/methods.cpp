#include "quant/methods.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>

namespace narrow::quant {
namespace {

std::vector<MethodSetting> learned_settings(double layers) {
  return {{"iterations", 1000, 1, 1e6, "steps of gradient descent for each block"},
          {"batch", 16, 1, 1024, "samples in a step"},
          {"samples", 256, 1, 1e6, "of the calibration data, at most"},
          {"rate", 0.01, 1e-6, 1, "of Adam"},
          {"trust", 0.3, 0, 1, "0: begins where the weights lie, 1: at the codes that were found before"},
          {"layers", layers, 1, 64, "of a block, at most"}};
}

std::string disagree_in_pruning(const std::map<std::string, double>& settings) {
  const auto is_whole = [&](const char* name) { return settings.at(name) == std::floor(settings.at(name)); };
  if (!is_whole("n") || !is_whole("m") || !is_whole("block")) return "whole numbers for n, m and block";
  if (settings.at("m") == 0) return "";
  if (settings.at("n") >= settings.at("m")) return "n below m";
  return settings.at("block") > 1 ? "m or block, not both" : "";
}

const std::vector<MethodInfo>& table() {
  static const std::vector<MethodInfo> methods = {
      {Method::rotate,
       "rotate",
       "outliers are spread over channels by orthogonal matrices in the weights on both sides (int8, w4a8, "
       "int8-dynamic, int4, int3, int2)",
       {{"stream", 1, 0, 1, "1: residual streams"},
        {"values", 1, 0, 1, "1: values of attention, and products straight behind one another"},
        {"seed", 1, 0, 1e9, "of the matrices' signs"}}},
      {Method::equalize,
       "equalize",
       "channels between layers are scaled such that one scale per value suits all of them (int8)",
       {{"trust", 0.5, 0, 1, "in the extent a channel showed on the calibration data"}}},
      {Method::absorb_bias,
       "absorb-bias",
       "what every number of a channel holds goes into the biases of the layers that read it (int8)",
       {}},
      {Method::smooth,
       "smooth",
       "outliers of channels that products read go into their weights (int8, int8-dynamic)",
       {}},
      {Method::awq,
       "awq",
       "channels that matter to products are made large before weights are rounded (int4, int3, int2)",
       {}},
      {Method::prune,
       "prune",
       "weights are made zero, and the others make up for them: smaller .narrow files, worse answers (all "
       "but fp32)",
       {{"sparsity", 0.5, 0, 0.99, "share of the weights; 0: those that are zero already"},
        {"block", 1, 1, 256, "weights that go together, next to each other along the contraction"},
        {"m", 0, 0, 64, "of each m weights along the contraction n stay; 0: no such pattern"},
        {"n", 2, 1, 63, "see m"},
        {"loss", 1, 0, 1, "1: those go whose absence costs least; 0: the smallest"},
        {"compensate", 1, 0, 1, "1: weights that stay make up for those that went"},
        {"fewest", 2048, 0, 1e9, "layers of fewer weights stay dense"},
        {"damping", 0.03, 1e-6, 1, "as gptq's"},
        {"samples", 256, 1, 1e6, "of the calibration data, at most"}},
       disagree_in_pruning},
      {Method::outliers,
       "outliers",
       "the weights that cost most to round stand apart in FP16 (int8-weights, int4, int3, int2, ternary, "
       "binary)",
       {{"percent", 1, 0.5, 20, "of a layer's weights, at most; 24 bits each"}}},
      {Method::nearest, "nearest", "weights are rounded to the nearest code, whatever the data", {}},
      {Method::hqq,
       "hqq",
       "scales and zero points of groups from the weights alone, by an lp norm of their error",
       {{"norm", 0.7, 0.1, 4, "p: of |w - w'|^p"}, {"iterations", 20, 1, 1000, "rounds for each group"}}},
      {Method::seqmse,
       "seqmse",
       "scales of weights by the error of the layer's result, rounded to nearest, layer after layer",
       {{"samples", 64, 1, 1e6, "of the calibration data, at most"},
        {"candidates", 31, 2, 1000, "factors from 0.5 to 1.1 that each channel's scale is tried with"}}},
      {Method::gptq,
       "gptq",
       "weights are rounded by the error of the layer's result, layer after layer on what is really there",
       {{"damping", 0.03, 1e-6, 1, "of the mean square of the data, added to each square"},
        {"samples", 256, 1, 1e6, "of the calibration data, at most"},
        {"act_order", 0, 0, 1, "1: also with the inputs that carry most first; what errs less stays"},
        {"residual", 1, 0, 1, "1: what a residual lost is made up for by the layer it is added to"},
        {"variance", 0, 0, 1, "1: int8 results get scales that fit the original's, channel by channel"}}},
      {Method::adaround, "adaround", "rounding learned by gradient descent on the outputs of each layer",
       learned_settings(1)},
      {Method::brecq, "brecq", "rounding learned by gradient descent on the outputs of blocks of layers",
       learned_settings(4)},
  };
  return methods;
}

std::string_view trimmed(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t");
  return first == std::string_view::npos ? "" : text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

/// Pieces between commas that stand outside of parentheses.
std::vector<std::string_view> pieces(std::string_view text) {
  std::vector<std::string_view> list;
  int depth = 0;
  size_t first = 0;
  for (size_t i = 0; i <= text.size(); ++i) {
    if (i == text.size() || (text[i] == ',' && depth == 0)) {
      if (const auto piece = trimmed(text.substr(first, i - first)); !piece.empty()) list.push_back(piece);
      first = i + 1;
    } else {
      depth += text[i] == '(' ? 1 : text[i] == ')' ? -1 : 0;
    }
  }
  return list;
}

Error wrong(std::string subject, std::string expected, std::string_view got) {
  return {.code = Code::usage,
          .subject = std::move(subject),
          .expected = std::move(expected),
          .got = fmt::format("'{}'", got)};
}

std::string setting_names(const MethodInfo& info) {
  std::vector<std::string> names;
  for (const MethodSetting& s : info.settings) names.emplace_back(s.name);
  return names.empty() ? "no settings" : fmt::format("{}", fmt::join(names, ", "));
}

Status read_setting(std::string_view text, const MethodInfo& info, MethodUse& use) {
  const size_t equals = text.find('=');
  const std::string_view name = trimmed(text.substr(0, equals));
  const auto known = std::find_if(info.settings.begin(), info.settings.end(),
                                  [&](const MethodSetting& s) { return name == s.name; });
  if (known == info.settings.end())
    return wrong(fmt::format("recipe: {}", info.name), setting_names(info), name);
  const std::string_view number = equals == std::string_view::npos ? "" : trimmed(text.substr(equals + 1));
  double value = 0;
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), value);
  if (error != std::errc() || end != number.data() + number.size() || !(value >= known->low) ||
      !(value <= known->high))
    return wrong(fmt::format("recipe: {}: {}", info.name, known->name),
                 fmt::format("a number from {} to {}", known->low, known->high), number);
  use.settings[known->name] = value;
  return {};
}

Result<MethodUse> parse_use(std::string_view text) {
  const size_t open = text.find('(');
  const std::string_view name = trimmed(text.substr(0, open));
  const auto info =
      std::find_if(table().begin(), table().end(), [&](const MethodInfo& m) { return name == m.name; });
  if (info == table().end()) {
    std::vector<std::string> names;
    for (const MethodInfo& m : table()) names.emplace_back(m.name);
    return wrong("recipe", fmt::format("methods out of {}", fmt::join(names, ", ")), name);
  }
  MethodUse use{info->method, {}};
  for (const MethodSetting& s : info->settings) use.settings[s.name] = s.standard;
  if (open == std::string_view::npos) return use;
  if (text.back() != ')') return wrong(fmt::format("recipe: {}", name), "settings in parentheses", text);
  for (const std::string_view piece : pieces(text.substr(open + 1, text.size() - open - 2)))
    NARROW_DO(read_setting(piece, *info, use));
  if (info->disagree != nullptr)
    if (std::string wanted = info->disagree(use.settings); !wanted.empty())
      return wrong(fmt::format("recipe: {}", name), std::move(wanted), text);
  return use;
}

/// Methods come in this order: same function, less of it, what is not rounded, rounding.
int stage_of(Method method) {
  if (method == Method::prune) return 1;
  if (method == Method::outliers) return 2;
  return changes_graph(method) ? 0 : 3;
}

}  // namespace

std::span<const MethodInfo> all_methods() { return table(); }

bool changes_graph(Method method) {
  return method == Method::rotate || method == Method::equalize || method == Method::absorb_bias ||
         method == Method::smooth || method == Method::awq || method == Method::prune;
}

const char* name_of(Method method) {
  for (const MethodInfo& info : table())
    if (info.method == method) return info.name;
  return "";
}

Result<std::vector<MethodUse>> parse_methods(std::string_view list) {
  std::vector<MethodUse> methods;
  for (const std::string_view piece : pieces(list)) {
    NARROW_TRY(MethodUse use, parse_use(piece));
    methods.push_back(std::move(use));
  }
  if (methods.empty()) return wrong("recipe", "at least one method", list);
  for (size_t i = 1; i < methods.size(); ++i) {
    const int stage = stage_of(methods[i].method), before = stage_of(methods[i - 1].method);
    if (stage < before)
      return wrong("recipe", "what changes the graph before what rounds, prune and outliers between them",
                   list);
    if (stage == before && (stage == 1 || stage == 2))
      return wrong("recipe", std::string(name_of(methods[i].method)) + " once", list);
  }
  const auto any = [&](auto&& is) { return std::any_of(methods.begin(), methods.end(), is); };
  const auto learns = [](const MethodUse& m) {
    return m.method == Method::adaround || m.method == Method::brecq;
  };
  if (any(learns) && any([](const MethodUse& m) { return m.method == Method::prune; }))
    return wrong("recipe", "prune with gptq, hqq or nearest, which keep its zeros", list);
  return methods;
}

std::string to_string(const std::vector<MethodUse>& methods) {
  std::vector<std::string> parts;
  for (const MethodUse& use : methods) {
    const auto info = std::find_if(table().begin(), table().end(),
                                   [&](const MethodInfo& m) { return m.method == use.method; });
    std::vector<std::string> settings;
    for (const MethodSetting& s : info->settings)
      if (use.settings.at(s.name) != s.standard)
        settings.push_back(fmt::format("{}={}", s.name, use.settings.at(s.name)));
    parts.push_back(settings.empty() ? info->name
                                     : fmt::format("{}({})", info->name, fmt::join(settings, ",")));
  }
  return fmt::format("{}", fmt::join(parts, ", "));
}

std::vector<MethodUse> standard_methods() { return *parse_methods("equalize, gptq"); }

}  // namespace narrow::quant
