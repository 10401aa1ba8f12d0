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

/// What was prepared is kept where the outputs lose less by it, and a note says how much less.
Status keep_if_better(const QuantizeInput& input, quant::Precision precision, const QuantizeOptions& options,
                      const std::shared_ptr<ThreadPool>& pool, std::shared_ptr<const Prepared>& prepared,
                      std::vector<std::string>& notes) {
  JudgeOptions ungated;
  ungated.samples = 32;
  NARROW_TRY(Judge judge, Judge::create(input.graph, *input.dataset, ungated, pool));
  NARROW_TRY(const double before, noise_of(judge, input, precision, options.plan, nullptr));
  NARROW_TRY(const double after, noise_of(judge, input, precision, options.plan, prepared));
  const double gain = 10 * std::log10(before / after);
  if (!(after < before)) prepared = nullptr;
  notes.push_back(
      fmt::format("SQNR of the outputs {} by {:.1f} dB ({} calibration samples, weights to nearest){}",
                  gain > 0 ? "rises" : "falls", std::fabs(gain), judge.samples(),
                  prepared == nullptr ? ": the model stays as it was" : ""));
  return {};
}

}  // namespace

Result<Quantized> make_recipe(const QuantizeInput& input, quant::Precision precision,
                              const QuantizeOptions& options, std::shared_ptr<ThreadPool> pool,
                              const quant::Wide& wide, const Progress& progress) {
  Quantized result;
  std::vector<std::string> notes;
  NARROW_TRY(result.prepared, prepare(input, precision, options, pool, notes, progress));
  if (result.prepared != nullptr)
    NARROW_DO(keep_if_better(input, precision, options, pool, result.prepared, notes));
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
