#include "pipeline/quantization.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "pipeline/judge.h"
#include "pipeline/pruning.h"
#include "pipeline/rounding.h"
#include "quant/sequential_rounding.h"

namespace narrow::pipeline {
namespace {

/// One way to prepare the model, and what it says of it.
struct Attempt {
  std::shared_ptr<const Prepared> prepared;
  std::vector<std::string> notes;
};

/// All methods; and those beside rotate, which may better what they do or be in their way.
Result<std::vector<Attempt>> attempts(const QuantizeInput& input, quant::Precision precision,
                                      const QuantizeOptions& options, const std::shared_ptr<ThreadPool>& pool,
                                      const Progress& progress) {
  std::vector<Attempt> list(1);
  NARROW_TRY(list[0].prepared, prepare(input, precision, options, pool, list[0].notes, progress));
  QuantizeOptions unrotated = options;
  std::erase_if(unrotated.methods, [](const auto& use) { return use.method == quant::Method::rotate; });
  if (list[0].prepared == nullptr || unrotated.methods.size() == options.methods.size()) return list;
  Attempt without;
  NARROW_TRY(without.prepared, prepare(input, precision, unrotated, pool, without.notes, progress));
  if (without.prepared == nullptr) return list;
  without.notes.insert(without.notes.begin(), "rotate is left out: the outputs lose less without it");
  list.push_back(std::move(without));
  return list;
}

/// What was prepared is kept where the outputs lose less by it, the best of it, and a note says how much
/// less.
Result<Attempt> best_preparation(const QuantizeInput& input, quant::Precision precision,
                                 const QuantizeOptions& options, const std::shared_ptr<ThreadPool>& pool,
                                 const Progress& progress) {
  NARROW_TRY(std::vector<Attempt> list, attempts(input, precision, options, pool, progress));
  if (list[0].prepared == nullptr) return std::move(list[0]);
  JudgeOptions ungated;
  ungated.samples = 32;
  NARROW_TRY(Judge judge, Judge::create(input.graph, *input.dataset, ungated, pool));
  NARROW_TRY(const double before, noise_of(judge, input, precision, options.plan, nullptr));
  size_t best = 0;
  double least = HUGE_VAL;
  for (size_t i = 0; i < list.size(); ++i) {
    NARROW_TRY(const double noise, noise_of(judge, input, precision, options.plan, list[i].prepared));
    if (!(noise < least)) continue;
    least = noise;
    best = i;
  }
  Attempt chosen = std::move(list[best]);
  const double gain = 10 * std::log10(before / least);
  if (!(least < before)) chosen.prepared = nullptr;
  chosen.notes.push_back(
      fmt::format("SQNR of the outputs {} by {:.1f} dB ({} calibration samples, weights to nearest){}",
                  gain > 0 ? "rises" : "falls", std::fabs(gain), judge.samples(),
                  chosen.prepared == nullptr ? ": the model stays as it was" : ""));
  return chosen;
}

}  // namespace

Result<Quantized> make_recipe(const QuantizeInput& input, quant::Precision precision,
                              const QuantizeOptions& options, std::shared_ptr<ThreadPool> pool,
                              const quant::Wide& wide, const Progress& progress) {
  Quantized result;
  NARROW_TRY(Attempt attempt, best_preparation(input, precision, options, pool, progress));
  result.prepared = std::move(attempt.prepared);
  std::vector<std::string> notes = std::move(attempt.notes);
  NARROW_DO(run_prune(input, precision, options, pool, result.prepared, notes, progress));
  const QuantizeInput base{.graph = result.graph(input.graph),
                           .profile = profile_of(input, result.prepared),
                           .dataset = input.dataset};
  NARROW_TRY(result.recipe, quant::plan(base.graph, base.profile, precision, options.plan, wide));
  if (result.prepared != nullptr) result.recipe.pruned = result.prepared->pruned;
  result.recipe.notes.insert(result.recipe.notes.begin(), notes.begin(), notes.end());
  for (const quant::MethodUse& use : options.methods)
    NARROW_DO(run_rounding(use, base, result.answers(input.graph), options, pool, result.recipe, progress));
  return result;
}

Result<Quantized> widen_recipe(const QuantizeInput& input, const Quantized& base, quant::Precision precision,
                               const quant::PlanOptions& plan, const quant::Wide& wide,
                               const std::vector<const quant::Recipe*>& donors) {
  NARROW_TRY(quant::Recipe recipe,
             quant::plan(base.graph(input.graph), profile_of(input, base.prepared), precision, plan, wide));
  recipe.pruned = base.recipe.pruned;
  quant::take_rounding(base.recipe, recipe);
  // Layers in bytes are the base's: a build in w4a8 has such, rounded for its own neighbours.
  for (const quant::Recipe* donor : donors) quant::take_rounding(*donor, recipe, {quant::NodeFormat::int8});
  return Quantized{std::move(recipe), base.prepared};
}

}  // namespace narrow::pipeline
