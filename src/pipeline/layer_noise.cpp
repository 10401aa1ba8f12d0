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
    return std::move(noise_);
  }

 private:
  /// int8 first: the others are estimated from it.
  std::vector<NodeFormat> formats() const {
    std::vector<NodeFormat> list = {NodeFormat::int8};
    for (const UniformBuild& build : input_.builds)
      if (build.format == NodeFormat::int8_dynamic || build.format == NodeFormat::w4a8 ||
          quant::is_weight_only(build.format))
        list.push_back(build.format);
    return list;
  }

  /// Noise over signal of each layer's result on FP32 inputs.
  std::vector<double> isolated() const {
    std::map<std::string, double> by_name;
    for (const verify::LayerReport& layer : input_.int8_layers)
      if (layer.computes) by_name[layer.node] = std::pow(10.0, -layer.isolated.distortion.sqnr_db() / 10);
    std::vector<double> list;
    for (const MixLayer& layer : layers_) {
      const auto found = by_name.find(layer.node);
      list.push_back(found == by_name.end() ? 1e-20 : std::max(found->second, 1e-20));
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

  Result<double> noise_alone(size_t layer, NodeFormat format) {
    quant::Wide formats = options_.pinned;
    for (size_t l = 0; l < layers_.size(); ++l) {
      if (l == layer && format == NodeFormat::int8) continue;
      const NodeFormat own = l == layer ? format : NodeFormat::fp32;
      formats[layers_[l].key] = {.reason = to_string(own), .format = own};
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
      NARROW_TRY(noise[l], noise_alone(l, format));
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
