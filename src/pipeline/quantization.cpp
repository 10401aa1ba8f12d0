#include "pipeline/quantization.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

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

Result<quant::Recipe> make_recipe(const QuantizeInput& input, quant::Precision precision,
                                  const QuantizeOptions& options, std::shared_ptr<ThreadPool> pool,
                                  const quant::Wide& wide, const Progress& progress) {
  NARROW_TRY(quant::Recipe recipe, quant::plan(input.graph, input.profile, precision, options.plan, wide));
  for (const quant::MethodUse& use : options.methods) switch (use.method) {
      case quant::Method::nearest:
        break;
      case quant::Method::hqq:
        run_hqq(input, use, *pool, recipe);
        break;
      case quant::Method::gptq:
        NARROW_DO(run_gptq(input, use, options, pool, progress, recipe));
        break;
    }
  return recipe;
}

}  // namespace narrow::pipeline
