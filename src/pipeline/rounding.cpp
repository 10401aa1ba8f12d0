#include "pipeline/rounding.h"

#include <fmt/format.h>

#include <cmath>

#include "quant/half_quadratic.h"
#include "quant/learn_blocks.h"
#include "quant/outliers.h"
#include "quant/sequential_rounding.h"
#include "quant/sequential_scales.h"

namespace narrow::pipeline {
namespace {

/// "gptq: 28 layers, error of their results 4.1 times below that of the nearest codes"
std::string summary(const std::vector<quant::RoundedLayer>& layers) {
  double logarithms = 0;
  int64_t better = 0, nearest = 0;
  for (const quant::RoundedLayer& layer : layers) {
    if (!layer.by_error) ++nearest;
    if (!(layer.chosen > 0) || !(layer.nearest > layer.chosen)) continue;
    logarithms += std::log(layer.nearest / layer.chosen);
    ++better;
  }
  const double factor = better > 0 ? std::exp(logarithms / static_cast<double>(better)) : 1;
  std::string text = fmt::format(
      "gptq: {} layers rounded by the error of their results, {:.1f} times below that of the nearest codes "
      "(geometric mean)",
      std::ssize(layers) - nearest, factor);
  if (nearest > 0)
    text +=
        fmt::format("; {} to the nearest: so many inputs that the samples say nothing about them", nearest);
  return text;
}

/// `answers`: what the layers of the input's graph should answer like.
Status run_gptq(const QuantizeInput& input, const ir::Graph& answers, const quant::MethodUse& use,
                const QuantizeOptions& options, std::shared_ptr<ThreadPool> pool, const Progress& progress,
                quant::Recipe& recipe) {
  quant::SequentialOptions sequential;
  sequential.damping = use.settings.at("damping");
  sequential.act_order = use.settings.at("act_order") != 0;
  sequential.residual = use.settings.at("residual") != 0;
  sequential.variance = use.settings.at("variance") != 0;
  sequential.original = &answers;
  sequential.walk.samples = static_cast<int64_t>(use.settings.at("samples"));
  if (options.memory > 0) sequential.walk.memory = options.memory;
  const auto layers =
      quant::round_sequentially(input.graph, recipe, *input.dataset, std::move(pool), sequential, progress);
  if (!layers.ok()) return layers.error();
  recipe.notes.push_back(summary(*layers));
  return {};
}

/// "adaround: 28 blocks, error of what they hand on 1.6 times below that of the codes before (geometric
/// mean)"
std::string summary(const char* name, const std::vector<quant::LearnedBlock>& blocks) {
  double logarithms = 0;
  int64_t better = 0, layers = 0, weights = 0, changed = 0, refused = 0;
  const std::string* why = nullptr;
  for (const quant::LearnedBlock& block : blocks) {
    if (!block.refused.empty()) why = &block.refused, ++refused;
    if (!block.refused.empty()) continue;
    layers += std::ssize(block.layers), weights += block.weights, changed += block.changed;
    if (!(block.after > 0) || !(block.before > block.after)) continue;
    logarithms += std::log(block.before / block.after), ++better;
  }
  std::string text = fmt::format(
      "{}: {} layers in {} blocks learned, {} of the blocks better on samples they did not learn from, their "
      "error {:.2f} times below that before (geometric mean); {:.1f} % of the codes changed",
      name, layers, std::ssize(blocks) - refused, better,
      better > 0 ? std::exp(logarithms / static_cast<double>(better)) : 1.0,
      weights > 0 ? 100.0 * static_cast<double>(changed) / static_cast<double>(weights) : 0.0);
  if (why != nullptr) text += fmt::format("; {} blocks left as they were: {}", refused, *why);
  return text;
}

Status run_seqmse(const QuantizeInput& input, const quant::MethodUse& use, const QuantizeOptions& options,
                  const std::shared_ptr<ThreadPool>& pool, const Progress& progress, quant::Recipe& recipe) {
  quant::SequentialScaleOptions search;
  search.walk.samples = static_cast<int64_t>(use.settings.at("samples"));
  search.search.candidates = static_cast<int64_t>(use.settings.at("candidates"));
  if (options.memory > 0) search.walk.memory = options.memory;
  const auto layers =
      quant::search_scales_sequentially(input.graph, recipe, *input.dataset, pool, search, progress);
  if (!layers.ok()) return layers.error();
  double logarithms = 0;
  int64_t better = 0, refused = 0;
  const std::string* why = nullptr;
  for (const quant::RescaledLayer& layer : *layers) {
    if (!layer.refused.empty()) why = &layer.refused, ++refused;
    if (!(layer.loss.after > 0) || !(layer.loss.before > layer.loss.after)) continue;
    logarithms += std::log(layer.loss.before / layer.loss.after), ++better;
  }
  std::string note = fmt::format(
      "seqmse: scales of {} of {} layers changed, error of their results {:.2f} times below that before "
      "(geometric mean)",
      better, std::ssize(*layers) - refused,
      better > 0 ? std::exp(logarithms / static_cast<double>(better)) : 1.0);
  if (why != nullptr) note += fmt::format("; {} layers left as they were: {}", refused, *why);
  recipe.notes.push_back(std::move(note));
  return {};
}

Status run_learned(const QuantizeInput& input, const quant::MethodUse& use, const QuantizeOptions& options,
                   const std::shared_ptr<ThreadPool>& pool, const Progress& progress, quant::Recipe& recipe) {
  const auto setting = [&](const char* key) { return use.settings.at(key); };
  quant::LearnOptions learn;
  learn.blocks.layers = static_cast<int64_t>(setting("layers"));
  learn.blocks.walk.samples = static_cast<int64_t>(setting("samples"));
  if (options.memory > 0) learn.blocks.walk.memory = options.memory;
  learn.rounding.iterations = static_cast<int64_t>(setting("iterations"));
  learn.rounding.batch = static_cast<int64_t>(setting("batch"));
  learn.rounding.rate = static_cast<float>(setting("rate"));
  learn.rounding.trust = static_cast<float>(setting("trust"));
  learn.rounding.neighbour = setting("trust") == 1 ? quant::Neighbour::downhill : quant::Neighbour::weight;
  const auto blocks = quant::learn_blocks(input.graph, recipe, *input.dataset, pool, learn, progress);
  if (!blocks.ok()) return blocks.error();
  recipe.notes.push_back(summary(quant::name_of(use.method), *blocks));
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

Status run_outliers(const QuantizeInput& input, const quant::MethodUse& use, ThreadPool& pool,
                    quant::Recipe& recipe) {
  if (recipe.groups.empty()) return {};
  const double percent = use.settings.at("percent");
  NARROW_TRY(const quant::OutlierReport report,
             quant::set_outliers_apart(input.graph, input.profile, recipe, pool, percent));
  if (report.layers == 0) {
    recipe.notes.emplace_back("outliers found nothing to gain");
    return {};
  }
  recipe.notes.push_back(
      fmt::format("outliers: {} of {} weights ({:.2f} %) stand apart in FP16, in {} layers; {:.4g} bits a "
                  "weight with them",
                  report.apart, report.weights,
                  100.0 * static_cast<double>(report.apart) / static_cast<double>(report.weights),
                  report.layers, stored_weights(recipe).bits_per_weight()));
  return {};
}

/// Stored weights to round, and data to round them by; otherwise a note says why not.
bool can_round(const quant::MethodUse& use, const QuantizeInput& input, quant::Recipe& recipe) {
  if (recipe.weights.empty() && recipe.groups.empty()) return false;
  if (input.dataset != nullptr) return true;
  recipe.notes.push_back(
      fmt::format("{} is left out: it needs calibration data (--data); weights are rounded to the "
                  "nearest codes",
                  quant::name_of(use.method)));
  return false;
}

/// What the method cannot do leaves the recipe as it was.
Status noted(Status status, const quant::MethodUse& use, quant::Recipe& recipe) {
  if (status.ok() || status.error().code != Code::unsupported) return status;
  recipe.notes.push_back(
      fmt::format("{} is left out: {}", quant::name_of(use.method), status.error().message()));
  return {};
}

}  // namespace

Status run_rounding(const quant::MethodUse& use, const QuantizeInput& input, const ir::Graph& answers,
                    const QuantizeOptions& options, const std::shared_ptr<ThreadPool>& pool,
                    quant::Recipe& recipe, const Progress& progress) {
  using quant::Method;
  switch (use.method) {
    case Method::outliers:
      return noted(run_outliers(input, use, *pool, recipe), use, recipe);
    case Method::hqq:
      run_hqq(input, use, *pool, recipe);
      return {};
    case Method::seqmse:
      if (!can_round(use, input, recipe)) return {};
      return noted(run_seqmse(input, use, options, pool, progress, recipe), use, recipe);
    case Method::gptq:
      if (!can_round(use, input, recipe)) return {};
      return noted(run_gptq(input, answers, use, options, pool, progress, recipe), use, recipe);
    case Method::adaround:
    case Method::brecq:
      if (!can_round(use, input, recipe)) return {};
      return noted(run_learned(input, use, options, pool, progress, recipe), use, recipe);
    case Method::rotate:
    case Method::equalize:
    case Method::absorb_bias:
    case Method::smooth:
    case Method::awq:
    case Method::prune:
    case Method::nearest:
      return {};
  }
  return {};
}

}  // namespace narrow::pipeline
