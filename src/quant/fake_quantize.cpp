#include "quant/fake_quantize.h"

#include <algorithm>
#include <map>

#include "quant/apply_steps.h"
#include "quant/dynamic_rows.h"
#include "quant/regions.h"

namespace narrow::quant {
namespace {

IntegerRange range_of(const Recipe& recipe) {
  return recipe.target == Target::tensorrt ? kRangeS8 : kRangeU8;
}

Value* add_stored(Graph& graph, Value* value, const Recipe& recipe) {
  const Quantization& quant = recipe.activations.at(value->name);
  const bool is_signed = recipe.target == Target::tensorrt;
  Value* scale = graph.add_constant(value->name + "_scale", Tensor::scalar(quant.scale[0]));
  Value* zero = graph.add_constant(value->name + "_zero_point",
                                   is_signed ? Tensor::scalar(static_cast<int8_t>(quant.zero_point[0]))
                                             : Tensor::scalar(static_cast<uint8_t>(quant.zero_point[0])));
  Value* codes =
      graph.add_node(Op::QuantizeLinear, {value, scale, zero}, {value->name + "_quantized"})->output();
  return graph.add_node(Op::DequantizeLinear, {codes, scale, zero}, {value->name + "_dequantized"})->output();
}

Value* add_rows(Graph& graph, DynamicRows& rows_of, Value* value, bool whole_samples) {
  const Rows rows = rows_of.of(value, whole_samples);
  return graph.add_node(Op::Mul, {rows.real, rows.scale}, {value->name + "_rounded"})->output();
}

}  // namespace

FakeQuantize::FakeQuantize(const ir::Graph& graph, const Recipe& recipe) : recipe_(recipe) {
  for (const Node* node : graph.nodes())
    for (const Value* output : node->outputs()) producer_[output->name] = format_of(recipe, *node);
}

FakeQuantize::Kind FakeQuantize::kind_of(const Node& reader, int index) const {
  const NodeFormat format = format_of(recipe_, reader);
  if (format == NodeFormat::int8_dynamic)
    return index > 0 ? Kind::none : reader.op() == Op::Conv ? Kind::samples : Kind::rows;
  const std::string& value = reader.input(index)->name;
  if (!recipe_.activations.contains(value)) return Kind::none;
  const auto producer = producer_.find(value);
  const bool made_by_integers = producer != producer_.end() && computes_in_bytes(producer->second);
  return made_by_integers || computes_in_bytes(format) ? Kind::stored : Kind::none;
}

void FakeQuantize::insert(Graph& part) const {
  std::map<std::pair<Value*, Kind>, Value*> made;
  DynamicRows rows(part);
  for (Node* node : part.nodes())
    for (int i = 0; i < static_cast<int>(node->inputs().size()); ++i) {
      Value* value = node->input(i);
      if (value == nullptr || value->is_constant()) continue;
      const Kind kind = kind_of(*node, i);
      if (kind == Kind::none) continue;
      Value*& rounded = made[{value, kind}];
      if (rounded == nullptr)
        rounded = kind == Kind::stored ? add_stored(part, value, recipe_)
                                       : add_rows(part, rows, value, kind == Kind::samples);
      part.set_input(node, i, rounded);
    }
}

Tensor FakeQuantize::read_by(const Node& reader, int index, const Tensor& x) const {
  const Kind kind = kind_of(reader, index);
  if (kind == Kind::none || x.elements() == 0) return x;
  Tensor rounded = x.clone();
  float* data = rounded.mutable_data<float>().data();
  const int64_t n = x.elements(), length = kind == Kind::rows ? x.shape().back() : n / x.dim(0);
  if (kind != Kind::stored) {
    round_rows(data, n / length, length);
    return rounded;
  }
  const Quantization& quant = recipe_.activations.at(reader.input(index)->name);
  const IntegerRange range = range_of(recipe_);
  const float scale = quant.scale[0], zero = static_cast<float>(quant.zero_point[0]),
              low = static_cast<float>(range.low) - zero, high = static_cast<float>(range.high) - zero;
  // Adding 1.5 * 2^23 rounds to even; what is clamped is far below 2^22.
  for (int64_t i = 0; i < n; ++i)
    data[i] = ((std::clamp(data[i] / scale, low, high) + 12582912.0F) - 12582912.0F) * scale;
  return rounded;
}

}  // namespace narrow::quant
