#include "quant/layer_start.h"

#include "quant/apply_steps.h"
#include "quant/regions.h"

namespace narrow::quant {

LayerStart start_of(const ir::Node& node, const Recipe& recipe) {
  const std::string& key = key_of(node);
  if (const auto groups = recipe.groups.find(key); groups != recipe.groups.end())
    return {key, groups->second};
  const Quantization& quant = recipe.weights.at(key);
  const auto steps = recipe.four_bit.find(key);
  const bool four_bit = steps != recipe.four_bit.end();
  if (four_bit && steps->second.has_groups())
    return {key, grouped_of(weight_codes(recipe, node), quant, steps->second)};
  return {key, GroupedWeights{.codes = weight_codes(recipe, node),
                              .scale = Tensor::of(Shape{std::ssize(quant.scale)}, quant.scale),
                              .zero_point = {},
                              .axis = quant.axis,
                              .group_size = 0,
                              .bits = four_bit ? 4 : 8}};
}

void store(const LayerStart& layer, Recipe& recipe) {
  if (const auto groups = recipe.groups.find(layer.node); groups != recipe.groups.end()) {
    groups->second = layer.start;
    return;
  }
  if (const auto steps = recipe.four_bit.find(layer.node);
      steps != recipe.four_bit.end() && steps->second.has_groups()) {
    Quantization& channels = recipe.weights.at(layer.node);
    channels = rescaled_channels(layer.start, channels, steps->second);
    recipe.codes[layer.node] = stepped_of(layer.start, channels).bytes;
    return;
  }
  recipe.codes[layer.node] = layer.start.codes;
  const auto scale = layer.start.scale.data<float>();
  recipe.weights.at(layer.node).scale.assign(scale.begin(), scale.end());
}

}  // namespace narrow::quant
