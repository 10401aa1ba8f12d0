#include "quant/layer_weights.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/result.h"
#include "numerics/fp16.h"
#include "quant/apply_steps.h"
#include "quant/code_levels.h"
#include "quant/regions.h"
#include "quant/weighted_fit.h"
#include "quant/weights.h"
#include "tensor/block_index.h"

namespace narrow::quant {

std::vector<float> matrix_of(const ir::Node& node, int64_t group) {
  const HeavyShape shape = heavy_shape(node);
  const auto values = weights_of(node)->constant().data<float>();
  std::vector<float> matrix(static_cast<size_t>(shape.k * shape.n));
  for (int64_t k = 0; k < shape.k; ++k)
    for (int64_t n = 0; n < shape.n; ++n)
      matrix[static_cast<size_t>(k * shape.n + n)] = values[static_cast<size_t>(shape.index(group, k, n))];
  return matrix;
}

bool LayerWeights::stores(const Recipe& recipe, const ir::Node& node) {
  return is_heavy(node) && (recipe.groups.contains(key_of(node)) || recipe.weights.contains(key_of(node)));
}

LayerWeights::LayerWeights(const ir::Node& node, Recipe& recipe)
    : node_(node), recipe_(recipe), shape_(heavy_shape(node)) {
  const auto groups = recipe.groups.find(key_of(node));
  if (groups != recipe.groups.end() && (groups->second.bits < 8 || groups->second.group_size > 0)) {
    GroupedWeights& own = groups->second;
    for (Tensor* tensor : {&own.codes, &own.scale, &own.zero_point})
      if (tensor->defined()) *tensor = tensor->clone();
    own.apart = cloned(own.apart);
    apart_ = own.apart.places();
    take_groups(own);
  } else if (groups != recipe.groups.end()) {
    grid_.begin.push_back(0);
    scale_ = to_floats(groups->second.scale);
    codes_ = &(groups->second.codes = groups->second.codes.clone());
  } else {
    Quantization& quant = recipe.weights.at(key_of(node));
    codes_ = &(recipe.codes[key_of(node)] = weight_codes(recipe, node).clone());
    const auto steps = recipe.four_bit.find(key_of(node));
    if (steps != recipe.four_bit.end() && steps->second.has_groups()) {
      stepped_ = grouped_of(*codes_, quant, steps->second);
      stepped_.zero_point = stepped_.zero_point.clone();
      channels_ = &quant;
      take_groups(stepped_);
    } else {
      grid_.begin.push_back(0);
      if (steps != recipe.four_bit.end())
        fit_four_bit(quant);
      else
        scale_ = quant.scale;
    }
  }
  grid_.begin.push_back(shape_.k);
}

void LayerWeights::take_groups(GroupedWeights& groups) {
  grouped_ = &groups;
  const GroupOptions options = options_of(groups);
  const bool half = groups.scale.dtype() == DType::f16;
  const CodeLevels levels = code_levels(options);
  grid_.low = levels.low, grid_.high = levels.high, grid_.stride = levels.stride;
  const bool per_channel = groups.group_size == 0;
  const int64_t size = per_channel ? shape_.k : groups.group_size;
  if (per_channel) grid_.begin.push_back(0);
  for (int64_t p = 0; p < (per_channel ? 0 : shape_.positions); ++p)
    for (int64_t c = 0; c < shape_.channels; c += size) grid_.begin.push_back(p * shape_.channels + c);
  grid_.fit = [options, half](std::span<const float> run, std::span<const float> importance, int64_t) {
    return fit_weighted(run, importance, options, half);
  };
  grid_.storable = [half](float scale, int64_t, int) { return half ? half_scale(scale) : scale; };
  codes_ = &groups.codes;
}

/// Whole steps of the scale of a group's channel.
WeightGrid LayerWeights::grid(int64_t group) const {
  WeightGrid grid = grid_;
  if (channels_ == nullptr) return grid;
  const std::span<const float> scale =
      std::span(channels_->scale)
          .subspan(static_cast<size_t>(group * shape_.n), static_cast<size_t>(shape_.n));
  grid.whole_steps = true;
  grid.fit = [scale](std::span<const float> run, std::span<const float> importance, int64_t column) {
    const float unit = scale[static_cast<size_t>(column)];
    std::vector<float> units(run.begin(), run.end());
    for (float& x : units) x /= unit;
    const ScaleFit fit = fit_step(units, importance);
    return ScaleFit{unit * fit.scale, fit.zero_point};
  };
  grid.storable = [scale](float wanted, int64_t column, int zero_point) {
    const float unit = scale[static_cast<size_t>(column)];
    return unit * static_cast<float>(nearest_step(wanted / unit, zero_point));
  };
  return grid;
}

/// With smaller scales some bias of the layer would not fit int32 (fit_bias()); corrections may double it.
float LayerWeights::least_scale() const {
  const auto stored = recipe_.activations.find(node_.input(0)->name);
  const ir::Value* bias = node_.op() == ir::Op::MatMul ? nullptr : node_.input(2);
  if (stored == recipe_.activations.end() || bias == nullptr || !bias->is_constant()) return 0;
  float largest = 0;
  for (const float b : bias->constant().data<float>()) largest = std::max(largest, std::fabs(b));
  return 2 * largest / (static_cast<float>(1 << 30) * stored->second.scale[0]);
}

/// s4: one code more below zero than above.
void LayerWeights::fit_four_bit(Quantization& quant) {
  four_bit_ = &quant;
  grid_.low = -8, grid_.high = 7;
  const float least = least_scale();
  grid_.fit = [least](std::span<const float> run, std::span<const float> importance, int64_t) {
    ScaleFit fit = fit_weighted(run, importance,
                                {.bits = 4, .group_size = 0, .symmetric = true, .f32_scales = true}, false);
    fit.scale = std::max(fit.scale, least);
    return fit;
  };
  grid_.storable = [least](float scale, int64_t, int) { return std::max(scale, least); };
}

/// Of run `run` and column `n` in the scales.
size_t LayerWeights::parameter(int64_t group, int64_t run, int64_t n) const {
  if (grouped_ == nullptr || grouped_->group_size == 0) return static_cast<size_t>(group * shape_.n + n);
  const BlockIndex at(grouped_->codes.shape(), grouped_->axis, grouped_->group_size);
  return at(shape_.index(group, grid_.begin[static_cast<size_t>(run)], n));
}

/// Of a weight among those apart; -1 where it is none of them.
int64_t LayerWeights::entry_apart(int64_t group, int64_t k, int64_t n) const {
  const int64_t place = shape_.index(group, k, n);
  const auto found = std::lower_bound(apart_.begin(), apart_.end(), place);
  return found != apart_.end() && *found == place ? found - apart_.begin() : -1;
}

std::vector<uint8_t> LayerWeights::apart(int64_t group) const {
  std::vector<uint8_t> flags;
  if (apart_.empty()) return flags;
  for (int64_t k = 0; k < shape_.k; ++k)
    for (int64_t n = 0; n < shape_.n; ++n) flags.push_back(entry_apart(group, k, n) >= 0 ? 1 : 0);
  return flags;
}

GridWeights LayerWeights::stored(int64_t group) const {
  GridWeights weights;
  const auto* bytes = static_cast<const int8_t*>(codes_->raw());
  for (int64_t k = 0; k < shape_.k; ++k)
    for (int64_t n = 0; n < shape_.n; ++n) weights.codes.push_back(bytes[shape_.index(group, k, n)]);
  const std::vector<float> scale = grouped_ != nullptr    ? to_floats(grouped_->scale)
                                   : four_bit_ != nullptr ? four_bit_->scale
                                                          : scale_;
  const bool has_zero = grouped_ != nullptr && grouped_->zero_point.defined();
  const std::vector<int64_t> zero = has_zero ? to_ints(grouped_->zero_point) : std::vector<int64_t>();
  for (int64_t run = 0; run < grid_.groups(); ++run)
    for (int64_t n = 0; n < shape_.n; ++n) {
      const size_t at = parameter(group, run, n);
      weights.scale.push_back(scale[at]);
      weights.zero_point.push_back(has_zero ? static_cast<int16_t>(zero[at]) : int16_t{0});
    }
  if (apart_.empty()) return weights;
  const Tensor numbers = dequantize_groups(*grouped_);
  for (int64_t k = 0; k < shape_.k; ++k)
    for (int64_t n = 0; n < shape_.n; ++n)
      weights.apart.push_back(entry_apart(group, k, n) < 0
                                  ? std::numeric_limits<float>::quiet_NaN()
                                  : numbers.data<float>()[static_cast<size_t>(shape_.index(group, k, n))]);
  return weights;
}

void LayerWeights::store(int64_t group, const GridWeights& weights) {
  auto* bytes = static_cast<int8_t*>(codes_->mutable_raw());
  for (int64_t k = 0; k < shape_.k; ++k)
    for (int64_t n = 0; n < shape_.n; ++n)
      bytes[shape_.index(group, k, n)] =
          static_cast<int8_t>(weights.codes[static_cast<size_t>(k * shape_.n + n)]);
  if (four_bit_ != nullptr)
    std::copy(weights.scale.begin(), weights.scale.end(), four_bit_->scale.begin() + group * shape_.n);
  if (grouped_ == nullptr) return;
  for (int64_t run = 0; run < grid_.groups(); ++run)
    for (int64_t n = 0; n < shape_.n; ++n) {
      const size_t at = parameter(group, run, n), from = static_cast<size_t>(run * shape_.n + n);
      if (grouped_->scale.dtype() == DType::f16)
        static_cast<f16*>(grouped_->scale.mutable_raw())[at] = f16(weights.scale[from]);
      else
        grouped_->scale.mutable_data<float>()[at] = weights.scale[from];
      if (grouped_->zero_point.defined())
        static_cast<int8_t*>(grouped_->zero_point.mutable_raw())[at] =
            static_cast<int8_t>(weights.zero_point[from]);
    }
  if (!apart_.empty()) store_apart(group, weights);
  if (channels_ == nullptr) return;
  SteppedWeights stepped = stepped_of(stepped_, *channels_);
  recipe_.codes[key_of(node_)] = std::move(stepped.bytes);
  recipe_.four_bit.at(key_of(node_)) = std::move(stepped.steps);
}

/// What the code leaves of the number, with the scale as it is stored.
void LayerWeights::store_apart(int64_t group, const GridWeights& weights) {
  auto* values = static_cast<f16*>(grouped_->apart.values.mutable_raw());
  const bool half = grouped_->scale.dtype() == DType::f16;
  for (int64_t run = 0; run < grid_.groups(); ++run)
    for (int64_t k = grid_.begin[static_cast<size_t>(run)]; k < grid_.begin[static_cast<size_t>(run) + 1];
         ++k)
      for (int64_t n = 0; n < shape_.n; ++n) {
        const int64_t entry = entry_apart(group, k, n);
        if (entry < 0) continue;
        const auto at = static_cast<size_t>(k * shape_.n + n), s = static_cast<size_t>(run * shape_.n + n);
        NARROW_CHECK(weights.is_apart(at));
        const float scale = half ? static_cast<float>(f16(weights.scale[s])) : weights.scale[s];
        const float back = static_cast<float>(weights.codes[at] - weights.zero_point[s]) * scale;
        values[entry] = f16(half_number(weights.apart[at] - back));
      }
}

Tensor LayerWeights::real() const {
  const auto groups = recipe_.groups.find(key_of(node_));
  if (groups != recipe_.groups.end()) return dequantize_groups(groups->second);
  return dequantize_weights(recipe_.codes.at(key_of(node_)), recipe_.weights.at(key_of(node_)));
}

std::set<std::string> stored_layers(const ir::Graph& graph, const Recipe& recipe) {
  std::set<std::string> layers;
  for (const ir::Node* node : graph.nodes())
    if (!node->outputs().empty() && LayerWeights::stores(recipe, *node)) layers.insert(key_of(*node));
  return layers;
}

}  // namespace narrow::quant
