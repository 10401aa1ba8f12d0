// Which of the kernels that can run a step runs it, by measurement on this machine.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/cpu.h"
#include "base/json.h"

namespace narrow::runtime {

struct Trial {
  std::string kernel;
  double microseconds = 0;
};

/// The winner first.
using Tactic = std::vector<Trial>;

/// Tactics of the steps that had a choice, by the name of a step's first output.
struct Tactics {
  std::string machine;  // machine_key() of where they were timed; they hold for no other
  std::map<std::string, Tactic> steps;
};

/// Processor and instruction set: "Intel(R) Xeon(R) Processor amx".
std::string machine_key(Isa isa);

Json to_json(const Tactics& tactics);
/// What has another form than to_json() gives is passed over: a tactic is a hint.
Tactics tactics_from_json(const Json& json);

}  // namespace narrow::runtime
