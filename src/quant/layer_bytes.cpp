#include "quant/layer_bytes.h"

#include "quant/apply_steps.h"
#include "quant/regions.h"

namespace narrow::quant {

int64_t layer_bytes(const ir::Node& node, const Recipe& recipe) {
  const std::string& key = key_of(node);
  const Tensor& weights = weights_of(node)->constant();
  const NodeFormat format = format_of(recipe, node);
  const Value* bias = node.op() == Op::MatMul ? nullptr : node.input(2);
  int64_t bytes = bias != nullptr && bias->is_constant() ? 4 * bias->constant().elements() : 0;
  if (const auto correction = recipe.bias_corrections.find(key); correction != recipe.bias_corrections.end())
    bytes = 4 * static_cast<int64_t>(correction->second.size());
  if (computes_in_bytes(format) && recipe.target == Target::portable) bytes *= 2;  // s32 and its FP32 scales
  if (const auto groups = recipe.groups.find(key); groups != recipe.groups.end())
    return bytes + (groups->second.stored_bits() + 7) / 8;
  if (const auto steps = recipe.four_bit.find(key); steps != recipe.four_bit.end())
    return bytes + (steps->second.stored_bits(weights.elements()) + 7) / 8 +
           4 * static_cast<int64_t>(recipe.weights.at(key).scale.size());
  if (const auto stored = recipe.weights.find(key);
      stored != recipe.weights.end())  // s8, an FP32 scale and a
    return bytes + weights.elements() + 5 * static_cast<int64_t>(stored->second.scale.size());  // zero point
  const bool half = format == NodeFormat::fp16 || format == NodeFormat::bf16;
  return bytes + (half ? 2 : 4) * weights.elements();
}

}  // namespace narrow::quant
