#include "pipeline/decision.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <limits>

namespace narrow::pipeline {
namespace {

constexpr std::array kNames = {"latency", "throughput", "size", "cost"};
constexpr double kNoise = 0.03;

/// Lower is better.
double price(const Option& o, Objective objective) {
  switch (objective) {
    case Objective::latency:
      return o.p50_ms;
    case Objective::throughput:
      return o.throughput > 0 ? 1e3 / o.throughput : std::numeric_limits<double>::infinity();
    case Objective::size:
      return static_cast<double>(o.bytes);
    case Objective::cost:
      return o.p50_ms * static_cast<double>(o.bytes);
  }
  return 0;
}

/// The best by price; of those within the noise of it, the smallest file (for size: the fastest).
const Option* best_of(const std::vector<const Option*>& passing, Objective objective) {
  if (passing.empty()) return nullptr;
  const auto cheaper = [&](const Option* a, const Option* b) {
    return price(*a, objective) < price(*b, objective);
  };
  const double least = price(**std::min_element(passing.begin(), passing.end(), cheaper), objective);
  const Option* best = nullptr;
  for (const Option* o : passing) {
    if (price(*o, objective) * (1 - kNoise) > least) continue;
    const bool preferred =
        best == nullptr || (objective == Objective::size ? o->p50_ms < best->p50_ms : o->bytes < best->bytes);
    if (preferred) best = o;
  }
  return best;
}

/// "4.8x faster than fp32, 3.6x smaller"; `reference` may be null.
std::string compared(const Option& o, const Option* reference) {
  std::vector<std::string> parts;
  if (reference == nullptr) return "there is no fp32 build to compare with";
  if (o.p50_ms > 0 && reference->p50_ms > 0) {
    const double ratio = reference->p50_ms / o.p50_ms;
    parts.push_back(ratio >= 1 ? fmt::format("{:.1f}x faster than fp32", ratio)
                               : fmt::format("{:.2f}x slower than fp32", 1 / ratio));
  }
  if (o.bytes > 0 && reference->bytes > 0) {
    const double ratio = static_cast<double>(reference->bytes) / static_cast<double>(o.bytes);
    parts.push_back(ratio >= 1 ? fmt::format("{:.1f}x smaller", ratio)
                               : fmt::format("{:.1f}x larger", 1 / ratio));
  }
  return fmt::format("{}", fmt::join(parts, ", "));
}

}  // namespace

const char* to_string(Objective objective) { return kNames.at(static_cast<size_t>(objective)); }

std::optional<Objective> parse_objective(std::string_view name) {
  for (size_t i = 0; i < kNames.size(); ++i)
    if (name == kNames.at(i)) return static_cast<Objective>(i);
  return std::nullopt;
}

Decision decide(const std::vector<Option>& options, Objective objective) {
  Decision decision;
  const auto found =
      std::find_if(options.begin(), options.end(), [](const Option& o) { return o.is_reference; });
  const Option* const reference = found == options.end() ? nullptr : &*found;
  const bool about_time = objective == Objective::latency || objective == Objective::throughput;
  std::vector<const Option*> passing;
  const auto too_slow = [&](const Option& o) {
    return about_time && !o.is_reference && reference != nullptr &&
           price(o, objective) > price(*reference, objective);
  };
  for (const Option& o : options)
    if (o.failed_gates.empty() && o.inconclusive_gates.empty() && !too_slow(o)) passing.push_back(&o);
  const Option* const chosen = best_of(passing, objective);
  std::stable_sort(passing.begin(), passing.end(), [&](const Option* a, const Option* b) {
    return price(*a, objective) < price(*b, objective);
  });
  if (chosen != nullptr) {
    decision.chosen = chosen->name;
    decision.fallback.push_back(chosen->name);
  }
  for (const Option* o : passing)
    if (o != chosen) decision.fallback.push_back(o->name);
  for (const Option& o : options) {
    Verdict verdict{
        .name = o.name, .passes = o.failed_gates.empty() && o.inconclusive_gates.empty(), .text = {}};
    const std::string note = o.note.empty() ? "" : "; " + o.note;
    if (!o.failed_gates.empty())
      verdict.text = fmt::format("{}{}", fmt::join(o.failed_gates, "; "), note);
    else if (!o.inconclusive_gates.empty())
      verdict.text = fmt::format("inconclusive: {}", fmt::join(o.inconclusive_gates, "; "));
    else if (&o == chosen && o.is_reference)
      verdict.text = "reference; chosen: no narrower build is both faster and within the gates";
    else if (o.is_reference)
      verdict.text = "reference";
    else if (&o == chosen)
      verdict.text = "chosen: " + compared(o, reference);
    else if (too_slow(o))
      verdict.text =
          fmt::format("slower than fp32 ({:.2f}x)", price(o, objective) / price(*reference, objective));
    else
      verdict.text = "passes";
    decision.verdicts.push_back(std::move(verdict));
  }
  if (chosen == nullptr)
    decision.explanation = "No build passes every gate, FP32 included; nothing is recommended.";
  else if (chosen->is_reference)
    decision.explanation = "FP32 is kept: no narrower build is both better for " +
                           std::string(to_string(objective)) + " and within the gates.";
  else
    decision.explanation = fmt::format("{} has the best {} of the builds that pass every gate: {}.",
                                       chosen->name, to_string(objective), compared(*chosen, reference));
  return decision;
}

Json to_json(const Decision& d) {
  Json verdicts = Json::object();
  for (const Verdict& v : d.verdicts) verdicts[v.name] = {{"passes", v.passes}, {"text", v.text}};
  return {{"chosen", d.chosen},
          {"fallback", d.fallback},
          {"explanation", d.explanation},
          {"verdicts", std::move(verdicts)}};
}

}  // namespace narrow::pipeline
