#include "pipeline/quantization.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "pipeline/judge.h"
#include "quant/half_quadratic.h"
#include "quant/sequential_rounding.h"

namespace narrow::pipeline {
namespace {

/// "gptq: 28 layers, error of their results 4.1 times below that of the nearest codes"
std::string summary(const std::vector<quant::RoundedLayer>& layers) {
  double logarithms = 0;
  int64_t better = 0;
  for (const quant::RoundedLayer& layer : layers) {
    if (!(layer.chosen > 0) || !(layer.nearest > layer.chosen)) continue;
    logarithms += std::log(layer.nearest / layer.chosen);
    ++better;
  }
  const double factor = better > 0 ? std::exp(logarithms / static_cast<double>(better)) : 1;
  return fmt::format(
      "gptq: {} layers rounded by the error of their results, {:.1f} times below that of the nearest codes "
      "(geometric mean)",
      layers.size(), factor);
}

Status run_gptq(const QuantizeInput& input, const quant::MethodUse& use, const QuantizeOptions& options,
                std::shared_ptr<ThreadPool> pool, const Progress& progress, quant::Recipe& recipe) {
  if (recipe.weights.empty() && recipe.groups.empty()) return {};
  if (input.dataset == nullptr) {
    recipe.notes.emplace_back("weights are rounded to the nearest codes: gptq needs calibration data");
    return {};
  }
  quant::SequentialOptions sequential;
  sequential.damping = use.settings.at("damping");
  sequential.residual = use.settings.at("residual") != 0;
  sequential.walk.samples = static_cast<int64_t>(use.settings.at("samples"));
  if (options.memory > 0) sequential.walk.memory = options.memory;
  const auto layers =
      quant::round_sequentially(input.graph, recipe, *input.dataset, std::move(pool), sequential, progress);
  if (!layers.ok() && layers.error().code == Code::unsupported) {
    recipe.notes.push_back("weights are rounded to the nearest codes, not by gptq: " +
                           layers.error().message());
    return {};
  }
  if (!layers.ok()) return layers.error();
  recipe.notes.push_back(summary(*layers));
  return {};
}

/// Rounded to nearest, on the calibration data: what a build of this precision loses, in noise over signal.
Result<double> noise_of(Judge& judge, const QuantizeInput& input, quant::Precision precision,
                        const quant::PlanOptions& options, std::shared_ptr<const Prepared> prepared) {
  Quantized build{{}, std::move(prepared)};
  const calib::Profile& profile = build.profile(*input.profile);
  NARROW_TRY(build.recipe, quant::plan(build.graph(input.graph), &profile, precision, options, {}));
  NARROW_TRY(const Judgement judgement, judge.judge(build));
  return judgement.noise();
}

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

void run_hqq(const QuantizeInput& input, const quant::MethodUse& use, ThreadPool& pool,
             quant::Recipe& recipe) {
  const double norm = use.settings.at("norm");
  const auto report =
      quant::half_quadratic(input.graph, input.profile, recipe, pool,
                            {.norm = norm, .iterations = static_cast<int>(use.settings.at("iterations"))});
  if (report.layers == 0) return;
  recipe.notes.push_back(
      fmt::format("hqq: {} layers, sum of |w - w'|^{:g} {:.3g} times that of the nearest codes' scales",
                  report.layers, norm, report.nearest > 0 ? report.chosen / report.nearest : 1));
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
  const QuantizeInput base{.graph = result.graph(input.graph),
                           .profile = result.prepared != nullptr ? &result.prepared->profile : input.profile,
                           .dataset = input.dataset};
  NARROW_TRY(result.recipe, quant::plan(base.graph, base.profile, precision, options.plan, wide));
  result.recipe.notes.insert(result.recipe.notes.begin(), notes.begin(), notes.end());
  for (const quant::MethodUse& use : options.methods) {
    if (use.method == quant::Method::hqq) run_hqq(base, use, *pool, result.recipe);
    if (use.method == quant::Method::gptq)
      NARROW_DO(run_gptq(base, use, options, pool, progress, result.recipe));
  }
  return result;
}

Result<Quantized> widen_recipe(const QuantizeInput& input, const Quantized& base, quant::Precision precision,
                               const quant::PlanOptions& plan, const quant::Wide& wide,
                               const std::vector<const quant::Recipe*>& donors) {
  const calib::Profile* profile = base.prepared != nullptr ? &base.prepared->profile : input.profile;
  NARROW_TRY(quant::Recipe recipe, quant::plan(base.graph(input.graph), profile, precision, plan, wide));
  quant::take_rounding(base.recipe, recipe);
  for (const quant::Recipe* donor : donors) quant::take_rounding(*donor, recipe);
  return Quantized{std::move(recipe), base.prepared};
}

}  // namespace narrow::pipeline
