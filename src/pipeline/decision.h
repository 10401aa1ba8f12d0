// Which build to ship, why, and why not the others.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace narrow::pipeline {

enum class Objective : uint8_t { latency, throughput, size, cost };
const char* to_string(Objective objective);
std::optional<Objective> parse_objective(std::string_view name);

/// What the choice looks at.
struct Option {
  std::string name;
  bool is_reference = false;
  double p50_ms = 0, throughput = 0;
  int64_t bytes = 0;
  std::vector<std::string> failed_gates;  // "top1.drop 0.86 pp > 0.5 pp"
  std::vector<std::string> inconclusive_gates;
  std::string note;  // shown with a failed gate: "worst: conv_dw_1 (11 dB alone)"
};

struct Verdict {
  std::string name;
  bool passes = false;
  std::string text;  // one line for the table
};

struct Decision {
  std::string chosen;                 // empty when not even fp32 passes
  std::vector<Verdict> verdicts;      // in the order of the options
  std::vector<std::string> fallback;  // chosen first, then the passing builds from best to safest
  std::string explanation;            // in words
};

/// Among builds that pass every gate, the best by the objective:
///   latency     lowest median; a build slower than the reference is never chosen over it
///   throughput  most samples a second; likewise
///   size        smallest file
///   cost        least time x memory: p50 x file size
/// Differences under 3% are noise: then the build with the smaller file wins (for size: the faster one).
Decision decide(const std::vector<Option>& options, Objective objective);

Json to_json(const Decision& decision);

}  // namespace narrow::pipeline
