#include "pipeline/debug.h"

namespace narrow::pipeline {
namespace {

Json gates_json(const Judgement& judgement) {
  Json list = Json::array();
  for (const verify::GateResult& gate : judgement.gates) list.push_back(to_json(gate));
  return list;
}

const char* to_string(search::Blame::Kind kind) {
  switch (kind) {
    case search::Blame::Kind::isolated:
      return "isolated";
    case search::Blame::Kind::accumulated:
      return "accumulated";
    default:
      return "none";
  }
}

Json blame_json(const search::Blame& blame) {
  Json worst = Json::array();
  for (const search::Contribution& c : blame.worst) worst.push_back({{"node", c.node}, {"noise", c.noise}});
  return {{"kind", to_string(blame.kind)}, {"share", blame.share}, {"text", blame.text}, {"worst", worst}};
}

}  // namespace

Json to_json(const DebugResult& r, const DebugOptions& options) {
  Json json = {{"model", options.model.string()},
               {"precision", to_string(options.precision)},
               {"samples", r.samples},
               {"holds", r.start.holds},
               {"gates", gates_json(r.start)},
               {"figures", to_json(r.start.figures)},
               {"blame", blame_json(r.blame)},
               {"notes", r.notes},
               {"layers", to_json(r.layers)},
               {"out_of_time", r.out_of_time},
               {"seconds", r.seconds}};
  Json findings = Json::array(), trials = Json::array();
  for (const Finding& f : r.findings)
    findings.push_back({{"kind", f.kind}, {"node", f.node}, {"text", f.text}});
  for (const DebugTrial& t : r.trials)
    trials.push_back({{"setting", t.setting},
                      {"wide", t.wide},
                      {"gates", gates_json(t.judgement)},
                      {"sqnr_db", t.judgement.sqnr_db()},
                      {"holds", t.judgement.holds},
                      {"seconds", t.seconds}});
  json["findings"] = std::move(findings);
  json["trials"] = std::move(trials);
  if (r.culprits)
    json["culprits"] = {{"layers", r.culprit_names},
                        {"holds", r.culprits->holds},
                        {"minimal", r.culprits->minimal},
                        {"stopped", r.culprits->stopped},
                        {"trials", r.culprits->trials}};
  if (r.remedy)
    json["remedy"] = {{"command", command_of(*r.remedy)}, {"toml", toml_of(*r.remedy)},
                      {"wide", r.remedy->wide},           {"setting", to_string(r.remedy->setting)},
                      {"gates", gates_json(*r.proof)},    {"sqnr_db", r.proof->sqnr_db()}};
  return json;
}

}  // namespace narrow::pipeline
