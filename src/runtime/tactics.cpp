#include "runtime/tactics.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/hash.h"

namespace narrow::runtime {

std::string case_key(const ir::Node& node) {
  std::string key = ir::to_string(node.op());
  const auto add_type = [&](const ir::Value* value) {
    if (value == nullptr) return key += " -", void();
    key += fmt::format(" {}{}{}", to_string(value->type.dtype), to_string(value->type.shape()),
                       value->is_constant() ? "c" : "");
  };
  for (const ir::Value* input : node.inputs()) add_type(input);
  key += " ->";
  for (const ir::Value* output : node.outputs()) add_type(output);
  for (const auto& [name, attribute] : node.attrs) {
    key += fmt::format(" {}=", name);
    if (const auto* i = std::get_if<int64_t>(&attribute)) key += fmt::format("{}", *i);
    if (const auto* f = std::get_if<float>(&attribute)) key += fmt::format("{}", *f);
    if (const auto* s = std::get_if<std::string>(&attribute)) key += *s;
    if (const auto* list = std::get_if<std::vector<int64_t>>(&attribute))
      for (const int64_t i : *list) key += fmt::format("{},", i);
  }
  return key;
}

namespace {

std::string graph_key(const ir::Graph& graph) {
  std::string keys;
  for (const ir::Node* node : graph.nodes()) keys += case_key(*node) + "\n";
  return hash_hex(keys);
}

/// Which convolutions go together depends on formats, too: passes/merge_parallel_convs.cpp.
std::string formats_key(const ir::Graph& graph) {
  std::string formats;
  for (const ir::Node* node : graph.nodes_of(ir::Op::FusedConv)) {
    const Quantization* quant = node->output()->type.quant.get();
    if (quant == nullptr || !quant->per_tensor()) continue;
    const std::string activation = node->string_attr("activation", "none");
    const bool any_scale = activation == "none" || activation == "relu";
    formats += fmt::format(" {}", quant->zero_point[0]);
    if (!any_scale) formats += fmt::format("/{}", quant->scale[0]);
  }
  return hash_hex(formats);
}

}  // namespace

PlanKeys::PlanKeys(const ir::Graph& graph) {
  const std::string key = graph_key(graph);
  bands = "Bands of " + key;
  fetching = "Weights of " + key;
  merging = "Convolutions of " + key + " " + formats_key(graph);
}

std::string machine_key(Isa isa) { return cpu_features().model + " " + to_string(isa); }

void put_fastest_first(Tactic& tactic, double margin) {
  const auto best = std::min_element(tactic.begin(), tactic.end(), [](const Trial& a, const Trial& b) {
    return a.microseconds < b.microseconds;
  });
  if (best->microseconds < tactic.front().microseconds * margin) std::rotate(tactic.begin(), best, best + 1);
}

Json to_json(const Tactics& tactics) {
  Json cases = Json::object();
  for (const auto& [key, tactic] : tactics.cases) {
    Json trials = Json::array();
    for (const Trial& trial : tactic)
      trials.push_back({{"kernel", trial.kernel}, {"us", trial.microseconds}});
    cases[key] = std::move(trials);
  }
  return {{"machine", tactics.machine}, {"cases", std::move(cases)}};
}

Tactics tactics_from_json(const Json& json) {
  Tactics tactics;
  if (!json.is_object() || !json.contains("machine") || !json["machine"].is_string()) return tactics;
  tactics.machine = json["machine"].get<std::string>();
  if (!json.contains("cases") || !json["cases"].is_object()) return tactics;
  for (const auto& [key, trials] : json["cases"].items()) {
    if (!trials.is_array()) continue;
    for (const Json& trial : trials)
      if (trial.is_object() && trial.contains("kernel") && trial["kernel"].is_string() &&
          trial.contains("us") && trial["us"].is_number())
        tactics.cases[key].push_back({trial["kernel"].get<std::string>(), trial["us"].get<double>()});
  }
  return tactics;
}

}  // namespace narrow::runtime
