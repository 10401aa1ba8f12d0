// Which of the kernels that can run a step runs it, by measurement on this machine.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/cpu.h"
#include "base/json.h"
#include "ir/graph.h"

namespace narrow::runtime {

struct Trial {
  std::string kernel;
  double microseconds = 0;
};

/// The winner first.
using Tactic = std::vector<Trial>;

/// Makes it so, where the fastest takes less than `margin` times what the first does.
void put_fastest_first(Tactic& tactic, double margin);

/// Everything the time of a step depends on but machine and threads: op, attributes, types.
std::string case_key(const ir::Node& node);
/// The same of a whole graph, for choices made once for all of it. Each is a tactic of the two below.
struct PlanKeys {
  explicit PlanKeys(const ir::Graph& graph);
  std::string bands;     // whether large images go through the graph in bands
  std::string fetching;  // whether weights are fetched while the step before computes
  /// Whether convolutions that read the same value are one: of the graph before; where merging won, of the
  /// merged one too.
  std::string merging;
};
constexpr const char* kInBands = "in bands";
constexpr const char* kWholeImages = "whole images";
constexpr const char* kFetchedAhead = "fetched ahead";
constexpr const char* kOnDemand = "on demand";
constexpr const char* kMerged = "parallel convolutions merged";
constexpr const char* kApart = "each convolution apart";

/// Tactics of the steps that had a choice, by case_key(): a step of another batch size is another case.
struct Tactics {
  std::string machine;  // machine_key() of where they were timed; they hold for no other
  std::map<std::string, Tactic> cases;
};

/// Processor and instruction set: "Intel(R) Xeon(R) Processor amx".
std::string machine_key(Isa isa);

Json to_json(const Tactics& tactics);
/// What has another form than to_json() gives is passed over: a tactic is a hint.
Tactics tactics_from_json(const Json& json);

}  // namespace narrow::runtime
