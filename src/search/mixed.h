// The first mixed precision: the guiltiest layers are widened until the gates hold.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "ir/graph.h"
#include "quant/plan_formats.h"
#include "verify/layers.h"

namespace narrow::search {

struct Suspect {
  std::string key;     // quant::key_of the heavy node
  std::string node;    // ONNX name, for people
  double sqnr_db = 0;  // alone
};

/// Heavy int8 nodes, worst isolated SQNR first.
std::vector<Suspect> rank_suspects(const ir::Graph& graph, const quant::Recipe& int8,
                                   const std::vector<verify::LayerReport>& layers);

/// Tries a set of widened layers: does the build then hold every gate?
using Trial = std::function<Result<bool>(const quant::Wide& wide)>;

struct MixedResult {
  quant::Wide wide;
  bool holds = false;
  int trials = 0;
};

/// Doubles the number of widened suspects (1, 2, 4, ...) until the trial holds, then bisects to the fewest.
/// `format` is what they are widened to, for the reasons. When not even all suspects suffice, `holds` is
/// false.
Result<MixedResult> widen_until_it_holds(const std::vector<Suspect>& suspects, const std::string& format,
                                         const Trial& trial);

}  // namespace narrow::search
