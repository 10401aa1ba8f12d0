#include "quant/wide.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "quant/regions.h"

namespace narrow::quant {
namespace {

/// Insertions, deletions and replacements from one to the other (Levenshtein, 1966).
int64_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<int64_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  for (size_t i = 0; i < a.size(); ++i) {
    int64_t diagonal = std::exchange(row[0], static_cast<int64_t>(i) + 1);
    for (size_t j = 0; j < b.size(); ++j) {
      const int64_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

/// The three nearest, nearest first.
std::vector<std::string> nearest_names(const ir::Graph& graph, const std::string& wanted) {
  constexpr size_t kShown = 3;
  std::vector<std::pair<int64_t, std::string>> names;
  for (const ir::Node* node : graph.nodes())
    if (!node->outputs().empty()) names.emplace_back(edit_distance(wanted, name_of(*node)), name_of(*node));
  std::stable_sort(names.begin(), names.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<std::string> nearest;
  for (size_t i = 0; i < std::min(kShown, names.size()); ++i) nearest.push_back("'" + names[i].second + "'");
  return nearest;
}

const ir::Node* find_node(const ir::Graph& graph, const std::string& name) {
  const ir::Node* by_result = nullptr;
  for (const ir::Node* node : graph.nodes()) {
    if (node->outputs().empty()) continue;
    if (node->name == name) return node;
    if (key_of(*node) == name) by_result = node;
  }
  return by_result;
}

Result<NodeFormat> parse_format(const std::string& text, const std::string& name) {
  for (const NodeFormat format :
       {NodeFormat::fp32, NodeFormat::fp16, NodeFormat::bf16, NodeFormat::int8_dynamic, NodeFormat::int4,
        NodeFormat::int3, NodeFormat::int2, NodeFormat::w4a8, NodeFormat::int8_weights, NodeFormat::ternary,
        NodeFormat::binary})
    if (name == to_string(format)) return format;
  return Error{.code = Code::usage,
               .subject = "--wide " + text,
               .expected =
                   "fp32, fp16, bf16, int8-dynamic, int8-weights, int4, int3, int2, ternary, binary or w4a8 "
                   "after the '='",
               .got = "'" + name + "'"};
}

}  // namespace

const std::string& name_of(const ir::Node& node) { return node.name.empty() ? key_of(node) : node.name; }

std::string wide_text(const std::string& layer, NodeFormat format) {
  return format == NodeFormat::fp32 ? layer : fmt::format("{}={}", layer, to_string(format));
}

Result<Wide> parse_wide(const ir::Graph& graph, const std::vector<std::string>& texts) {
  Wide wide;
  for (const std::string& text : texts) {
    std::string layer = text;
    NodeFormat format = NodeFormat::fp32;
    const ir::Node* node = find_node(graph, layer);
    if (const size_t at = text.rfind('='); node == nullptr && at != std::string::npos) {
      layer = text.substr(0, at);
      node = find_node(graph, layer);
      if (node != nullptr) {
        NARROW_TRY(format, parse_format(text, text.substr(at + 1)));
      }
    }
    if (node == nullptr)
      return Error{.code = Code::usage,
                   .subject = "--wide",
                   .expected = "a layer of the model",
                   .got = "'" + layer + "'",
                   .hint = fmt::format("nearest: {}; `narrow inspect --layers` lists all",
                                       fmt::join(nearest_names(graph, layer), ", "))};
    wide[key_of(*node)] = {.reason = "asked for with --wide", .format = format};
  }
  return wide;
}

}  // namespace narrow::quant
