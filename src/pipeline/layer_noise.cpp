#include "pipeline/layer_noise.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/clock.h"
#include "pipeline/judge.h"
#include "quant/digest.h"

namespace narrow::pipeline {
namespace {

using quant::NodeFormat;
using search::MixLayer;

class NoiseMeter {
 public:
  NoiseMeter(const MixInput& input, const std::vector<MixLayer>& layers, const NoiseOptions& options,
             MixMemory& memory, Judge& judge, const Progress& progress)
      : input_(input),
        layers_(layers),
        options_(options),
        memory_(memory),
        judge_(judge),
        progress_(progress) {}

  Result<LayerNoise> run() {
    std::vector<double> alone = isolated();
    for (const NodeFormat format : formats()) {
      NARROW_TRY(noise_.of[format], measure(format, alone));
      alone = noise_.of[NodeFormat::int8];
    }
    for (const UniformBuild& build : input_.builds)
      if (is_half(build.format) && !units_in(build).empty()) {
        NARROW_TRY(noise_.of[build.format], measure_half(build));
      }
    return std::move(noise_);
  }

 private:
  static bool is_half(NodeFormat format) { return format == NodeFormat::fp16 || format == NodeFormat::bf16; }

  static bool has_format(const UniformBuild& build, const std::string& key) {
    const auto node = build.recipe.nodes.find(key);
    return node != build.recipe.nodes.end() && node->second.format == build.format;
  }

  /// Norms and attentions that the build gave its format.
  std::vector<size_t> units_in(const UniformBuild& build) const {
    std::vector<size_t> units;
    for (size_t l = 0; l < layers_.size(); ++l)
      if (is_float_unit(layers_[l]) &&
          std::all_of(layers_[l].able.begin(), layers_[l].able.end(),
                      [&](const std::string& key) { return has_format(build, key); }))
        units.push_back(l);
    return units;
  }

  std::vector<size_t> heavy_in(const UniformBuild& build) const {
    std::vector<size_t> heavy;
    for (size_t l = 0; l < layers_.size(); ++l)
      if (!is_float_unit(layers_[l]) && has_format(build, layers_[l].key)) heavy.push_back(l);
    return heavy;
  }

  /// int8 first: the others are estimated from it.
  std::vector<NodeFormat> formats() const {
    std::vector<NodeFormat> list = {NodeFormat::int8};
    for (const UniformBuild& build : input_.builds)
      if (build.format == NodeFormat::int8_dynamic || build.format == NodeFormat::w4a8 ||
          quant::is_weight_only(build.format))
        list.push_back(build.format);
    return list;
  }

  /// Noise over signal of each layer's result on FP32 inputs; none for what int8 leaves in FP32.
  std::vector<double> isolated() const {
    std::map<std::string, double> by_name;
    for (const verify::LayerReport& layer : input_.int8_layers)
      if (layer.computes) by_name[layer.node] = std::pow(10.0, -layer.isolated.distortion.sqnr_db() / 10);
    std::vector<double> list;
    for (const MixLayer& layer : layers_) {
      const auto found = by_name.find(layer.node);
      const double known = found == by_name.end() ? 0 : found->second;
      list.push_back(is_float_unit(layer) ? 0 : std::max(known, 1e-20));
    }
    return list;
  }

  Result<double> noise_of(const Quantized& build) {
    const std::string question =
        fmt::format("noise on {} samples: {}", options_.samples, quant::digest(build.recipe));
    if (const Json* known = memory_.find(question); known != nullptr && known->is_number())
      return known->get<double>();
    NARROW_TRY(const Judgement judgement, judge_.judge(build));
    memory_.add(question, judgement.noise());
    return judgement.noise();
  }

  /// These layers in `format`, all others in FP32.
  Result<double> noise_alone(const std::vector<size_t>& some, NodeFormat format) {
    quant::Wide formats = options_.pinned;
    for (size_t l = 0; l < layers_.size(); ++l) {
      const bool one = std::find(some.begin(), some.end(), l) != some.end();
      if (one && format == NodeFormat::int8) continue;
      const NodeFormat own = one ? format : NodeFormat::fp32;
      give_format(layers_[l], {.reason = to_string(own), .format = own}, formats);
    }
    NARROW_TRY(const Quantized alone, with_formats(input_, options_.plan, formats));
    return noise_of(alone);
  }

  Result<std::vector<double>> measure(NodeFormat format, const std::vector<double>& estimate) {
    const quant::Recipe& recipe = input_.build(format)->recipe;
    NARROW_TRY(const double whole, noise_of({recipe, input_.int8.prepared}));
    std::vector<double> noise = estimate;
    std::vector<bool> known(noise.size(), false);
    double logarithms = 0, sum = 0;
    int64_t measured = 0;
    for (size_t l = 0; l < layers_.size(); ++l) {
      const auto node = recipe.nodes.find(layers_[l].key);
      if (node == recipe.nodes.end() || node->second.format != format) continue;  // not a choice
      ++noise_.wanted;
      if (watch_.seconds() > options_.seconds) continue;
      report(progress_, fmt::format("layers alone in {}", to_string(format)), static_cast<int64_t>(l),
             std::ssize(layers_));
      NARROW_TRY(noise[l], noise_alone({l}, format));
      noise[l] = std::max(noise[l], 1e-20);
      known[l] = true;
      ++measured;
      logarithms += std::log(noise[l] / estimate[l]);
    }
    noise_.measured += measured;
    const double proportion = measured == 0 ? 1 : std::exp(logarithms / static_cast<double>(measured));
    for (size_t l = 0; l < noise.size(); ++l) {
      if (!known[l]) noise[l] *= proportion;
      const auto node = recipe.nodes.find(layers_[l].key);
      if (node != recipe.nodes.end() && node->second.format == format) sum += noise[l];
    }
    if (sum > 0)
      for (double& n : noise) n *= whole / sum;
    return noise;
  }

  /// Each of `units` alone, as far as time suffices; the others' is the geometric mean of those.
  Result<std::vector<double>> measure_units(NodeFormat format, const std::vector<size_t>& units,
                                            double otherwise) {
    std::vector<double> noise(units.size(), -1);
    double logarithms = 0;
    int64_t measured = 0;
    for (size_t u = 0; u < units.size() && watch_.seconds() <= options_.seconds; ++u) {
      report(progress_, fmt::format("norms alone in {}", to_string(format)), static_cast<int64_t>(u),
             std::ssize(units));
      NARROW_TRY(noise[u], noise_alone({units[u]}, format));
      noise[u] = std::max(noise[u], 1e-20);
      logarithms += std::log(noise[u]);
      ++measured;
    }
    noise_.wanted += std::ssize(units);
    noise_.measured += measured;
    if (measured > 0) otherwise = std::exp(logarithms / static_cast<double>(measured));
    for (double& n : noise)
      if (n < 0) n = otherwise;
    return noise;
  }

  /// Norms and attentions alone; products and convolutions, which round everywhere alike, together: they
  /// share that as they share int8's.
  Result<std::vector<double>> measure_half(const UniformBuild& build) {
    NARROW_TRY(const double whole, noise_of({build.recipe, input_.int8.prepared}));
    const std::vector<size_t> units = units_in(build), heavy = heavy_in(build);
    const double even = whole / static_cast<double>(units.size() + heavy.size());
    std::vector<double> noise(layers_.size(), 0);
    double together = 0;
    if (!heavy.empty()) {
      NARROW_TRY(together, noise_alone(heavy, build.format));
    }
    const std::vector<double>& int8 = noise_.of.at(NodeFormat::int8);
    double shares = 0, sum = together;
    for (const size_t l : heavy) shares += int8[l];
    for (const size_t l : heavy) noise[l] = shares > 0 ? together * int8[l] / shares : 0;
    NARROW_TRY(const std::vector<double> alone, measure_units(build.format, units, even));
    for (size_t u = 0; u < units.size(); ++u) noise[units[u]] = alone[u], sum += alone[u];
    if (sum > 0)
      for (double& n : noise) n *= whole / sum;
    return noise;
  }

  const MixInput& input_;
  const std::vector<MixLayer>& layers_;
  const NoiseOptions& options_;
  MixMemory& memory_;
  Judge& judge_;
  const Progress& progress_;
  Stopwatch watch_;
  LayerNoise noise_;
};

}  // namespace

Result<LayerNoise> measure_layer_noise(const MixInput& input, const std::vector<MixLayer>& layers,
                                       const NoiseOptions& options, MixMemory& memory,
                                       const std::shared_ptr<ThreadPool>& pool, const Progress& progress) {
  JudgeOptions ungated;
  ungated.samples = options.samples;
  NARROW_TRY(Judge judge, Judge::create(input.original, input.calib, ungated, pool));
  return NoiseMeter(input, layers, options, memory, judge, progress).run();
}

}  // namespace narrow::pipeline
