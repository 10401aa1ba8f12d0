#include "pipeline/mix_words.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

namespace narrow::pipeline {
namespace {

using quant::NodeFormat;
using search::FormatCost;
using search::Mix;
using search::MixLayer;
using search::MixProblem;

std::string bytes_text(double bytes) {
  return bytes >= 1e6 ? fmt::format("{:.2f} MB", bytes / 1e6) : fmt::format("{:.1f} kB", bytes / 1e3);
}

const FormatCost* choice_in(const MixLayer& layer, NodeFormat format) {
  const auto found = std::find_if(layer.choices.begin(), layer.choices.end(),
                                  [&](const FormatCost& c) { return c.format == format; });
  return found == layer.choices.end() ? nullptr : &*found;
}

double int8_noise(const MixProblem& problem) {
  double sum = 0;
  for (const MixLayer& layer : problem.layers)
    if (const FormatCost* int8 = choice_in(layer, NodeFormat::int8)) sum += int8->noise;
  return sum;
}

/// "by size", "by latency": is it bytes that count most?
bool is_about_bytes(const MixProblem& problem) {
  const Mix fp32 = search::uniform_mix(problem, NodeFormat::fp32);
  return problem.per_byte * fp32.bytes > problem.per_ms * fp32.ms * 2;
}

std::string difference(const MixProblem& problem, const FormatCost& more, const FormatCost& less) {
  return is_about_bytes(problem) ? bytes_text(more.bytes - less.bytes)
                                 : fmt::format("{:.3f} ms", more.ms - less.ms);
}

double cost(const MixProblem& problem, const FormatCost& choice) {
  return problem.per_ms * choice.ms + problem.per_byte * choice.bytes;
}

/// Why a norm or an attention, which int8 leaves in FP32, has this format.
std::string reason_of_unit(const MixProblem& problem, const MixLayer& layer, const FormatCost& taken) {
  constexpr const char* kStart = "int8 builds compute it in FP32";
  const FormatCost* fp32 = choice_in(layer, NodeFormat::fp32);
  const FormatCost* half = nullptr;  // the one taken, or the best of those that were not
  for (const FormatCost& choice : layer.choices)
    if (choice.format != NodeFormat::fp32 &&
        (half == nullptr || cost(problem, choice) < cost(problem, *half)))
      half = &choice;
  if (taken.format != NodeFormat::fp32) half = &taken;
  if (half == nullptr || fp32 == nullptr) return kStart;
  const bool is_taken = half == &taken, saves = cost(problem, *half) < cost(problem, *fp32);
  const double sum = int8_noise(problem);
  const std::string noise = fmt::format("{} {:.1f}% of the noise of the int8 build",
                                        is_taken ? "brings" : "bring", sum > 0 ? 100 * half->noise / sum : 0);
  if (saves)
    return fmt::format("{}; {} {} {} and {}", kStart, to_string(half->format),
                       is_taken ? "saves" : "would save", difference(problem, *fp32, *half), noise);
  return is_taken ? fmt::format("{}; {} saves casts and {}", kStart, to_string(half->format), noise)
                  : fmt::format("{}; {} would save nothing", kStart, to_string(half->format));
}

std::string noise_text(double noise) {
  return noise > 0 ? fmt::format("{:.0f} dB", -10 * std::log10(noise)) : "exact";
}

/// "1 fp32, 18 int8".
std::string formats_text(const MixProblem& problem, const Mix& mix) {
  std::map<NodeFormat, int> counts;
  for (size_t l = 0; l < mix.choice.size(); ++l) ++counts[problem.layers[l].choices[mix.choice[l]].format];
  std::vector<std::string> parts;
  for (const auto& [format, count] : counts) parts.push_back(fmt::format("{} {}", count, to_string(format)));
  return fmt::format("{}", fmt::join(parts, ", "));
}

std::string gates_of(const MixFound& found, const Mix& mix) {
  for (const MixTrial& trial : found.trials)
    if (trial.mix.choice == mix.choice) return trial.gates;
  return "";
}

/// Why there is no mix.
std::string refusal(const MixFound& found) {
  const std::string rival =
      found.rival ? fmt::format("{}, the best build in one format that holds the gates ({} predicted)",
                                to_string(*found.rival), price_text(found.problem, found.rival_mix))
                  : "no build in one format, none of which holds the gates";
  if (found.measured && *found.measured >= 1)
    return fmt::format(
        "no mix is faster than {}: the best that holds took {:.2f} times as long, measured side by side",
        rival, *found.measured);
  if (found.tried.none_is_cheaper)
    return fmt::format("no mix would be 3% better than {}: {} for the best of all, whatever its noise", rival,
                       found.front.empty() ? "nothing" : price_text(found.problem, found.front.front()));
  if (found.tried.proof)
    return fmt::format(
        "no mix is 3% better than {} and holds the gates: the quietest that would be ({}, {} predicted) does "
        "not: {}",
        rival, price_text(found.problem, *found.tried.proof), noise_text(found.tried.proof->noise),
        gates_of(found, *found.tried.proof));
  return fmt::format("none of the {} mixes that were tried holds the gates", found.trials.size());
}

std::string front_text(const MixFound& found) {
  std::vector<std::string> points;
  for (const Mix& mix : found.front)
    points.push_back(fmt::format("{} {}", price_text(found.problem, mix), noise_text(mix.noise)));
  return fmt::format("Pareto front, predicted: {}", fmt::join(points, ", "));
}

}  // namespace

std::string price_text(const MixProblem& problem, const Mix& mix) {
  if (problem.per_byte == 0) return fmt::format("{:.3f} ms", mix.ms);
  if (is_about_bytes(problem)) return bytes_text(mix.bytes);
  return fmt::format("{:.3f} ms x {}", mix.ms, bytes_text(mix.bytes));
}

std::string reason_of(const MixProblem& problem, size_t layer, size_t choice) {
  const FormatCost& taken = problem.layers[layer].choices[choice];
  const FormatCost* int8 = choice_in(problem.layers[layer], NodeFormat::int8);
  if (is_float_unit(problem.layers[layer])) return reason_of_unit(problem, problem.layers[layer], taken);
  if (taken.format == NodeFormat::int8 || int8 == nullptr) return "";
  const double sum = int8_noise(problem), share = sum > 0 ? 100 / sum : 0;
  if (cost(problem, *int8) < cost(problem, taken))
    return fmt::format("int8 would save {} and bring {:.1f}% of the noise of the int8 build, not {:.1f}%",
                       difference(problem, taken, *int8), share * int8->noise, share * taken.noise);
  return fmt::format("saves {} against int8", difference(problem, *int8, taken));
}

std::vector<std::string> notes_of(const MixFound& found) {
  std::vector<std::string> notes;
  const MixProblem& problem = found.problem;
  if (found.holds) {
    const Mix int8 = search::uniform_mix(problem, NodeFormat::int8),
              fp32 = search::uniform_mix(problem, NodeFormat::fp32);
    notes.push_back(fmt::format("layers: {}; predicted {}, all int8 {}, all fp32 {}; mixes tried: {}",
                                formats_text(problem, *found.tried.best),
                                price_text(problem, *found.tried.best), price_text(problem, int8),
                                price_text(problem, fp32), found.trials.size()));
    if (found.measured)
      notes.push_back(
          fmt::format("measured beside {}: {:.2f} of its time{}", to_string(*found.rival), *found.measured,
                      found.cast_factor > 1
                          ? fmt::format("; casts take {:.1f} times what they take alone", found.cast_factor)
                          : ""));
  } else {
    notes.push_back(refusal(found));
  }
  if (!found.tried.none_is_cheaper) notes.push_back(front_text(found));
  if (found.noise.measured < found.noise.wanted)
    notes.push_back(fmt::format(
        "time sufficed to measure the noise of {} of {} layers and formats; the others' is estimated",
        found.noise.measured, found.noise.wanted));
  if (found.recalled > 0)
    notes.push_back(
        fmt::format("{} times, noises and trials are those of an earlier search", found.recalled));
  if (found.tried.out_of_time)
    notes.emplace_back(
        "the search ran out of time: the same command goes on where it stopped, --budget gives "
        "it more at once");
  return notes;
}

}  // namespace narrow::pipeline
