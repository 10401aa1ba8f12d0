// A data check as JSON: every figure, for scripts.
#include "calib/check/data_check.h"

namespace narrow::calib {
namespace {

Json json_of(const ChannelFacts& channel) {
  return {{"mean", channel.mean}, {"spread", channel.spread}, {"min", channel.min}, {"max", channel.max}};
}

Json json_of(const SetReport& set) {
  Json inputs = Json::object();
  for (const auto& [name, facts] : set.inputs) {
    Json channels = Json::array();
    for (const ChannelFacts& channel : facts.channels) channels.push_back(json_of(channel));
    inputs[name] = facts.categorical ? Json{{"categories", facts.categories.size()}}
                                     : Json{{"channels", std::move(channels)}};
  }
  Json outliers = Json::array(), wideners = Json::array();
  for (const auto& [name, o] : set.outliers)
    outliers.push_back({{"sample", name},
                        {"distance", o.distance},
                        {"value", o.value},
                        {"figure", o.by_spread ? "spread" : "mean"},
                        {"is", o.figure},
                        {"median", o.median},
                        {"usual", o.usual},
                        {"z", o.z}});
  for (const auto& [name, w] : set.wideners)
    wideners.push_back({{"sample", name}, {"value", w.value}, {"share", w.share}});
  return {{"path", set.path},
          {"samples", set.samples},
          {"looked_at", set.looked_at},
          {"inputs", std::move(inputs)},
          {"blank", set.blank},
          {"duplicates", set.duplicates},
          {"copies", set.copies()},
          {"outliers", std::move(outliers)},
          {"wideners", std::move(wideners)}};
}

Json json_of(const ScaleRelation& relation) {
  return {{"misfit", relation.misfit},         {"noise", relation.noise},
          {"is_off", relation.is_off},         {"calibration", relation.calibration},
          {"evaluation", relation.evaluation}, {"explained", relation.explained},
          {"factor", relation.factor}};
}

Json json_of(const ValueComparison& v) {
  Json json = {{"name", v.name},        {"node", v.node},           {"verdict", to_string(v.verdict)},
               {"psi", v.psi},          {"psi_noise", v.psi_noise}, {"ks", v.ks},
               {"ks_noise", v.ks_noise}};
  if (v.categorical) return json;
  json["calibration"] = {v.calibration_min, v.calibration_max};
  json["evaluation"] = {v.evaluation_min, v.evaluation_max};
  json["range"] = {v.range.low, v.range.high};
  json["coverage"] = v.coverage;
  json["samples_beyond"] = v.samples_beyond;
  json["beyond_chance"] = v.beyond_chance;
  json["clipped"] = v.clipped;
  json["clipped_calibration"] = v.clipped_calibration;
  json["loss_db"] = v.loss_db;
  json["loss_noise_db"] = v.loss_noise_db;
  return json;
}

}  // namespace

Json to_json(const DataCheck& check) {
  Json findings = Json::array(), scales = Json::object(), values = Json::array();
  for (const Finding& f : check.findings)
    findings.push_back(
        {{"kind", f.kind}, {"fails", f.fails}, {"sentence", f.sentence}, {"remedy", f.remedy}});
  for (const auto& [name, relation] : check.scales) scales[name] = json_of(relation);
  for (const ValueComparison& v : check.values) values.push_back(json_of(v));
  Json json = {{"represents", check.represents},
               {"findings", std::move(findings)},
               {"calibration", json_of(check.calibration)},
               {"evaluation", json_of(check.evaluation)},
               {"shared_samples", check.shared_samples},
               {"scales", std::move(scales)},
               {"convergence", to_json(check.convergence)},
               {"values", std::move(values)}};
  if (check.labels) json["labels"] = to_json(*check.labels);
  if (check.answers) json["answers"] = to_json(*check.answers);
  if (check.variety) json["variety"] = to_json(*check.variety);
  if (check.channels) json["channel_order"] = to_json(*check.channels);
  return json;
}

}  // namespace narrow::calib
