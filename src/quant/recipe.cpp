#include "quant/recipe.h"

#include <array>

namespace narrow::quant {
namespace {
constexpr std::array kPrecisions = {"fp32", "fp16", "bf16", "int8", "mixed"};
constexpr std::array kFormats = {"fp32", "fp16", "bf16", "int8"};
}  // namespace

const char* to_string(Precision precision) { return kPrecisions.at(static_cast<size_t>(precision)); }
const char* to_string(NodeFormat format) { return kFormats.at(static_cast<size_t>(format)); }

std::optional<Precision> parse_precision(std::string_view name) {
  for (size_t i = 0; i < kPrecisions.size(); ++i)
    if (name == kPrecisions.at(i)) return static_cast<Precision>(i);
  return std::nullopt;
}

Json to_json(const Recipe& recipe) {
  Json nodes = Json::object(), activations = Json::object();
  for (const auto& [name, choice] : recipe.nodes) {
    nodes[name] = {{"format", to_string(choice.format)}};
    if (!choice.reason.empty()) nodes[name]["reason"] = choice.reason;
  }
  for (const auto& [name, q] : recipe.activations)
    activations[name] = {{"scale", q.scale.at(0)}, {"zero_point", q.zero_point.at(0)}};
  return {{"precision", to_string(recipe.precision)},
          {"nodes", std::move(nodes)},
          {"activations", std::move(activations)},
          {"notes", recipe.notes}};
}

}  // namespace narrow::quant
