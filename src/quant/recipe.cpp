#include "quant/recipe.h"

#include <algorithm>
#include <array>

#include "base/result.h"

namespace narrow::quant {
namespace {
constexpr std::array kPrecisions = {"fp32", "fp16", "bf16", "int8",         "mixed",   "int8-dynamic", "int4",
                                    "int3", "int2", "w4a8", "int8-weights", "ternary", "binary"};
constexpr std::array kFormats = {"fp32", "fp16", "bf16", "int8",         "int8-dynamic", "int4",
                                 "int3", "int2", "w4a8", "int8-weights", "ternary",      "binary"};
constexpr std::array kGroupFormats = {
    GroupFormat{Precision::int8_weights, NodeFormat::int8_weights, 8},
    GroupFormat{Precision::int4, NodeFormat::int4, 4},
    GroupFormat{Precision::int3, NodeFormat::int3, 3},
    GroupFormat{Precision::int2, NodeFormat::int2, 2},
    GroupFormat{Precision::ternary, NodeFormat::ternary, 2, CodeSet::ternary},
    GroupFormat{Precision::binary, NodeFormat::binary, 2, CodeSet::binary},
};

template <class Condition>
const GroupFormat* find_group_format(Condition condition) {
  const auto* found = std::find_if(kGroupFormats.begin(), kGroupFormats.end(), condition);
  return found == kGroupFormats.end() ? nullptr : found;
}
}  // namespace

const char* to_string(Precision precision) { return kPrecisions.at(static_cast<size_t>(precision)); }
const char* to_string(NodeFormat format) { return kFormats.at(static_cast<size_t>(format)); }

const GroupFormat* group_format(NodeFormat format) {
  return find_group_format([&](const GroupFormat& f) { return f.format == format; });
}

const GroupFormat* group_format(Precision precision) {
  return find_group_format([&](const GroupFormat& f) { return f.precision == precision; });
}

const GroupFormat& group_format(const GroupOptions& options) {
  const GroupFormat* found =
      find_group_format([&](const GroupFormat& f) { return f.bits == options.bits && f.set == options.set; });
  NARROW_CHECK(found != nullptr);
  return *found;
}

std::optional<Precision> parse_precision(std::string_view name) {
  for (size_t i = 0; i < kPrecisions.size(); ++i)
    if (name == kPrecisions.at(i)) return static_cast<Precision>(i);
  return std::nullopt;
}

double StoredWeights::bits_per_weight() const {
  return weights == 0 ? 0 : static_cast<double>(bits) / static_cast<double>(weights);
}

StoredWeights stored_weights(const Recipe& recipe) {
  StoredWeights sum;
  for (const auto& [name, groups] : recipe.groups)
    sum.weights += groups.codes.elements(), sum.bits += groups.stored_bits(),
        sum.apart += groups.apart.count();
  if (recipe.four_bit.empty()) return sum;
  for (const auto& [name, codes] : recipe.codes) {
    const auto scales = static_cast<int64_t>(recipe.weights.at(name).scale.size());
    const auto steps = recipe.four_bit.find(name);
    sum.weights += codes.elements();
    sum.bits += scales * 32 + (steps == recipe.four_bit.end() ? 8 * codes.elements()
                                                              : steps->second.stored_bits(codes.elements()));
  }
  return sum;
}

Json to_json(const Recipe& recipe) {
  Json nodes = Json::object(), activations = Json::object();
  for (const auto& [name, choice] : recipe.nodes) {
    nodes[name] = {{"format", to_string(choice.format)}};
    if (!choice.reason.empty()) nodes[name]["reason"] = choice.reason;
  }
  for (const auto& [name, q] : recipe.activations)
    activations[name] = {{"scale", q.scale.at(0)}, {"zero_point", q.zero_point.at(0)}};
  Json json = {{"precision", to_string(recipe.precision)},
               {"target", recipe.target == Target::tensorrt ? "tensorrt" : "portable"},
               {"nodes", std::move(nodes)},
               {"activations", std::move(activations)},
               {"notes", recipe.notes}};
  for (const auto& [name, groups] : recipe.groups) {
    json["weights"][name] = {{"bits", groups.bits},
                             {"group_size", groups.group_size},
                             {"symmetric", !groups.zero_point.defined()},
                             {"bits_per_weight", groups.bits_per_weight()}};
    if (groups.apart.count() > 0) json["weights"][name]["apart"] = groups.apart.count();
  }
  for (const auto& [name, pruned] : recipe.pruned)
    json["pruned"][name] = {{"weights", pruned.weights}, {"zeros", pruned.zeros}};
  if (const StoredWeights stored = stored_weights(recipe); stored.weights > 0) {
    json["stored_weights"] = {
        {"weights", stored.weights}, {"bits", stored.bits}, {"bits_per_weight", stored.bits_per_weight()}};
    if (stored.apart > 0) json["stored_weights"]["apart"] = stored.apart;
  }
  return json;
}

}  // namespace narrow::quant
