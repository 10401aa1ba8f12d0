// The methods around a plan, by name and in order: what --recipe and narrow.toml list.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace narrow::quant {

/// Those that change the model's constants before it is planned, not what it computes; prune, which changes
/// that as well; outliers, which sets weights apart; and those that round the others.
enum class Method : uint8_t {
  rotate,
  equalize,
  absorb_bias,
  smooth,
  awq,
  prune,
  outliers,
  nearest,
  hqq,
  seqmse,
  gptq,
  adaround,
  brecq
};
bool changes_graph(Method method);
const char* name_of(Method method);

struct MethodSetting {
  const char* name;
  double standard, low, high;
  const char* doc;
};

struct MethodInfo {
  Method method;
  const char* name;
  const char* doc;  // one line
  std::vector<MethodSetting> settings;
  /// Empty, or what these settings should be together.
  std::string (*disagree)(const std::map<std::string, double>& settings) = nullptr;
};

/// Every method there is, in the order they are explained.
std::span<const MethodInfo> all_methods();

/// A method with its settings, all of them.
struct MethodUse {
  Method method = Method::nearest;
  std::map<std::string, double> settings;
};

/// "equalize, gptq(damping=0.02)". Empty settings are the standard ones. Errors: usage, naming the method or
/// setting and what there is; settings that disagree; a method that changes the graph behind one that rounds
/// or behind prune; prune or outliers twice, or behind what rounds.
Result<std::vector<MethodUse>> parse_methods(std::string_view list);
std::string to_string(const std::vector<MethodUse>& methods);
/// What a build does where nobody says otherwise.
std::vector<MethodUse> standard_methods();

}  // namespace narrow::quant
