#include "pipeline/given_pairs.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <set>

#include "ir/schema.h"
#include "passes/pass.h"
#include "passes/quant_view.h"
#include "pipeline/float_reasons.h"
#include "pipeline/model.h"
#include "quant/wide.h"
#include "runtime/reference/reference.h"

namespace narrow::pipeline {
namespace {

using ir::Node;
using ir::Op;
using ir::Value;

/// Passes of the engine up to the one that makes integer operators: later ones fold what is left.
std::vector<passes::Pass> lowering_passes() {
  std::vector<passes::Pass> list;
  for (const passes::Pass& pass : passes::engine_passes()) {
    list.push_back(pass);
    if (std::string_view(pass.name) == "lower_quantized") break;
  }
  return list;
}

/// Names and origins of what DequantizeLinear nodes with readers make after lowering.
Result<std::set<std::string>> values_left(const ir::Graph& given) {
  ir::Graph lowered = bound_to_one_sample(given);
  // Constants stand for nothing yet; what is made of them keeps this name through every pass.
  for (const Node* node : lowered.nodes_of(Op::DequantizeLinear))
    if (node->output()->origin.empty()) node->output()->origin = node->output()->name;
  const std::vector<passes::Pass> list = lowering_passes();
  NARROW_DO(passes::run_passes(lowered, list, {.evaluate = runtime::reference::evaluate}));
  std::set<std::string> names;
  for (const Node* node : lowered.nodes_of(Op::DequantizeLinear)) {
    if (node->output()->uses().empty()) continue;
    names.insert(node->output()->name);
    if (!node->output()->origin.empty()) names.insert(node->output()->origin);
  }
  return names;
}

/// The DequantizeLinear's value, or what only moves its elements, is among `names`.
bool is_left(const Value* value, const std::set<std::string>& names) {
  if (names.contains(value->name) || (!value->origin.empty() && names.contains(value->origin))) return true;
  return std::any_of(value->uses().begin(), value->uses().end(), [&](const ir::Use& use) {
    return (use.index == 0 || use.node->op() == Op::Concat) && moves_elements(*use.node) &&
           std::any_of(use.node->outputs().begin(), use.node->outputs().end(),
                       [&](const Value* moved) { return is_left(moved, names); });
  });
}

}  // namespace

int64_t GivenPairs::staying() const {
  std::set<std::string> names;
  for (const FloatPair& pair : floats) names.insert(pair.dequantize);
  return static_cast<int64_t>(names.size());
}

std::string GivenPairs::summary() const {
  constexpr size_t kShown = 5;
  std::string text = fmt::format("{} of {} Q/DQ pairs stay in FP32", staying(), total);
  for (size_t i = 0; i < std::min(kShown, floats.size()); ++i)
    text += fmt::format("{} '{}' ({} '{}': {})", i == 0 ? ":" : ";", floats[i].dequantize, floats[i].op,
                        floats[i].reader, floats[i].reason);
  if (floats.size() > kShown) text += fmt::format("; and {} more", floats.size() - kShown);
  return text;
}

namespace {

/// A DequantizeLinear that may be the one that was left, with its readers. What was quantized once is often
/// dequantized for each of its readers: those share `key`, and lowering may have left one of them.
struct Candidate {
  const Node* dequantize;
  std::string key;
  std::vector<FloatReader> readers;
  bool explained() const { return !readers.empty() && readers[0].explained; }
};

FloatPair pair_of(const Candidate& candidate, const FloatReader& reader) {
  const Node* before = candidate.dequantize->input(0)->producer();
  const bool quantized = before != nullptr && before->op() == Op::QuantizeLinear;
  return {quantized ? quant::name_of(*before) : "", quant::name_of(*candidate.dequantize),
          quant::name_of(*reader.node), ir::to_string(reader.node->op()), reader.reason};
}

}  // namespace

Result<GivenPairs> pairs_left_in_float(const ir::Graph& given) {
  GivenPairs pairs;
  NARROW_TRY(const std::set<std::string> left, values_left(given));
  std::vector<Candidate> candidates;
  std::set<std::string> explained;
  for (const Node* node : given.nodes_of(Op::DequantizeLinear)) {
    ++pairs.total;
    const Value* value = node->output();
    if (!is_left(value, left)) continue;
    candidates.push_back({node, value->origin.empty() ? value->name : value->origin, float_readers(*node)});
    if (candidates.back().explained()) explained.insert(candidates.back().key);
  }
  for (const Candidate& candidate : candidates)
    if (candidate.explained() || !explained.contains(candidate.key))
      for (const FloatReader& reader : candidate.readers) pairs.floats.push_back(pair_of(candidate, reader));
  return pairs;
}

Json to_json(const GivenPairs& pairs) {
  Json list = Json::array();
  for (const FloatPair& pair : pairs.floats)
    list.push_back({{"quantize", pair.quantize},
                    {"dequantize", pair.dequantize},
                    {"reader", pair.reader},
                    {"op", pair.op},
                    {"reason", pair.reason}});
  return {{"total", pairs.total}, {"staying", pairs.staying()}, {"float", std::move(list)}};
}

}  // namespace narrow::pipeline
