#include "runtime/tactics.h"

namespace narrow::runtime {

std::string machine_key(Isa isa) { return cpu_features().model + " " + to_string(isa); }

Json to_json(const Tactics& tactics) {
  Json steps = Json::object();
  for (const auto& [output, tactic] : tactics.steps) {
    Json trials = Json::array();
    for (const Trial& trial : tactic) trials.push_back({{"kernel", trial.kernel}, {"us", trial.microseconds}});
    steps[output] = std::move(trials);
  }
  return {{"machine", tactics.machine}, {"steps", std::move(steps)}};
}

Tactics tactics_from_json(const Json& json) {
  Tactics tactics;
  if (!json.is_object() || !json.contains("machine") || !json["machine"].is_string()) return tactics;
  tactics.machine = json["machine"].get<std::string>();
  if (!json.contains("steps") || !json["steps"].is_object()) return tactics;
  for (const auto& [output, trials] : json["steps"].items()) {
    if (!trials.is_array()) continue;
    for (const Json& trial : trials)
      if (trial.is_object() && trial.contains("kernel") && trial["kernel"].is_string() && trial.contains("us") &&
          trial["us"].is_number())
        tactics.steps[output].push_back({trial["kernel"].get<std::string>(), trial["us"].get<double>()});
  }
  return tactics;
}

}  // namespace narrow::runtime
