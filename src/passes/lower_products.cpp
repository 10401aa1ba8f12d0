#include "passes/lower_products.h"

#include <algorithm>
#include <cmath>

#include "tensor/block_index.h"

namespace narrow::passes {
namespace {

// A bias beyond this would leave the accumulator no room: 2^30 of 2^31, and K < 2^15 products of 255 * 127
// the rest.
constexpr double kLargestBias = 1073741824.0;

/// v = clamp(x) and then quantized: true when the integer range clamps as much.
bool clamp_is_implied(const Node* clamp, const Quantization& quant, DType type) {
  const IntegerRange range = type == DType::u8 ? kRangeU8 : kRangeS8;
  const float scale = quant.scale[0];
  const int32_t zero = quant.zero_point[0];
  if (clamp->op() == Op::Relu) return zero == range.low;
  if (clamp->op() != Op::Clip) return false;
  for (int i = 1; i < 3; ++i) {
    if (clamp->input(i) == nullptr) continue;
    const auto bound = scalar_constant(clamp->input(i));
    if (!bound) return false;
    const int32_t at = quantize(static_cast<float>(*bound), scale, zero, range);
    if (at != (i == 1 ? range.low : range.high)) return false;
  }
  return true;
}

std::optional<Quantization> label_of_quantize(const Node* node) {
  if (node == nullptr || node->op() != Op::QuantizeLinear || !node->output()->type.quant) return {};
  const auto quant = per_tensor_parameters(node);
  return quant && *quant == *node->output()->type.quant ? quant : std::nullopt;
}

// ---------------------------------------------------------------- weights

struct Weights {
  Tensor values;  // s8
  Quantization quant;
};

/// Weights around another number are s8 weights around 0: u8 around 128, u4 around 8.
Tensor shifted_to_s8(const Tensor& stored, int32_t centre) {
  Tensor s8 = Tensor::allocate(DType::s8, stored.shape());
  const auto* src = static_cast<const uint8_t*>(stored.raw());  // one byte a code, of any of these types
  const auto dst = s8.mutable_data<int8_t>();
  for (size_t i = 0; i < dst.size(); ++i) dst[i] = static_cast<int8_t>(static_cast<int>(src[i]) - centre);
  return s8;
}

/// What the zero points of weights must be, or nothing where they cannot be s8 around 0.
std::optional<int32_t> centre_of(DType type) {
  switch (type) {
    case DType::s8:
    case DType::s4:
    case DType::s2:
      return 0;
    case DType::u8:
      return 128;
    case DType::u4:
      return 8;
    case DType::u2:
      return 2;
    default:
      return {};
  }
}

/// A channel that was all zeros when it was measured comes with scale 0 and any codes: it is zeros. Zero
/// codes are that in any step; the bias, which is stored in steps of data times weights, wants a fine one.
Tensor without_zero_scales(const Tensor& codes, Quantization& quant) {
  Tensor out = codes.clone();
  const auto values = out.mutable_data<int8_t>();
  int64_t inner = 1;
  for (int64_t a = quant.axis + 1; !quant.per_tensor() && a < codes.rank(); ++a) inner *= codes.dim(a);
  const auto channels = static_cast<int64_t>(quant.scale.size());
  for (size_t i = 0; i < values.size(); ++i) {
    const int64_t channel = quant.per_tensor() ? 0 : static_cast<int64_t>(i) / inner % channels;
    if (quant.scale[static_cast<size_t>(channel)] == 0) values[i] = 0;
  }
  float finest = 1.0F / 4096;
  for (const float scale : quant.scale)
    if (scale > 0) finest = std::min(finest, scale);
  for (float& scale : quant.scale) scale = scale == 0 ? finest : scale;
  return out;
}

/// Codes in blocks whose scales are whole multiples, stored as integers, of their channel's: s8 with the
/// scales of the channels, where step * (code - zero_point) fits. This is how quant/code_steps.h is stored.
std::optional<Weights> stepped_weights(const Node* dequantize, int64_t channel_axis) {
  const Node* scale = producer_of(dequantize->input(1), Op::DequantizeLinear);
  const auto codes = int_constant(dequantize->input(0));
  const auto steps = scale != nullptr ? int_constant(scale->input(0)) : std::nullopt;
  auto quant = steps ? linear_parameters(scale) : std::nullopt;
  const int64_t block = dequantize->int_attr("block_size", 0);
  if (!quant || !codes || block <= 0 || (!quant->per_tensor() && quant->axis != channel_axis)) return {};
  for (const int32_t zero : quant->zero_point)
    if (zero != 0) return {};
  const Shape& shape = dequantize->input(0)->constant().shape();
  const int64_t axis = normalized_axis(dequantize->int_attr("axis", 1), std::ssize(shape));
  const auto zeros = dequantize->input(2) != nullptr ? int_constant(dequantize->input(2))
                                                     : std::vector<int64_t>(steps->size(), 0);
  const BlockIndex at(shape, axis, block);
  if (!zeros || zeros->size() != steps->size() || codes->empty() ||
      at(std::ssize(*codes) - 1) + 1 != steps->size())
    return {};
  Tensor values = Tensor::allocate(DType::s8, shape);
  const auto out = values.mutable_data<int8_t>();
  for (size_t i = 0; i < out.size(); ++i) {
    const size_t b = at(static_cast<int64_t>(i));
    const int64_t byte = (*steps)[b] * ((*codes)[i] - (*zeros)[b]);
    if (byte < -127 || byte > 127) return {};
    out[i] = static_cast<int8_t>(byte);
  }
  return Weights{std::move(values), std::move(*quant)};
}

std::optional<Weights> symmetric_weights(const Value* value, int64_t channel_axis) {
  const Node* dequantize = producer_of(value, Op::DequantizeLinear);
  if (dequantize == nullptr || !dequantize->input(0)->is_constant()) return {};
  if (auto weights = stepped_weights(dequantize, channel_axis)) return weights;
  const auto centre = centre_of(dequantize->input(0)->type.dtype);
  if (!centre) return {};
  auto quant = linear_parameters(dequantize, ZeroScales::allowed);
  if (!quant || (!quant->per_tensor() && quant->axis != channel_axis)) return {};
  const Tensor& stored = dequantize->input(0)->constant();
  for (int32_t& zero : quant->zero_point) {
    if (zero != *centre) return {};
    zero = 0;
  }
  Tensor values = stored.dtype() == DType::s8 ? stored : shifted_to_s8(stored, *centre);
  if (std::find(quant->scale.begin(), quant->scale.end(), 0.0F) != quant->scale.end())
    values = without_zero_scales(values, *quant);
  return Weights{std::move(values), std::move(*quant)};
}

// ---------------------------------------------------------------- bias

/// Bias numbers as real values: a float constant or any dequantized constant.
std::optional<std::vector<double>> real_bias(const Value* bias) {
  if (is_float_constant(bias)) {
    const auto values = to_floats(bias->constant());
    return std::vector<double>(values.begin(), values.end());
  }
  const Node* dequantize = producer_of(bias, Op::DequantizeLinear);
  const auto stored = dequantize != nullptr ? int_constant(dequantize->input(0)) : std::nullopt;
  const auto quant = stored ? linear_parameters(dequantize, ZeroScales::allowed) : std::nullopt;
  if (!quant || (!quant->per_tensor() && quant->scale.size() != stored->size())) return {};
  std::vector<double> values;
  for (size_t i = 0; i < stored->size(); ++i) {
    const size_t c = quant->per_tensor() ? 0 : i;
    values.push_back(static_cast<double>((*stored)[i] - quant->zero_point[c]) *
                     static_cast<double>(quant->scale[c]));
  }
  return values;
}

/// round(b / (x_scale * w_scale)). A bias that was stored in (nearly) these units comes back as the same
/// integers.
std::optional<std::vector<int32_t>> integer_bias(const Value* bias, float x_scale, const Quantization& w) {
  const auto values = real_bias(bias);
  if (!values) return {};
  std::vector<int32_t> out;
  for (size_t i = 0; i < values->size(); ++i) {
    const double unit = static_cast<double>(x_scale) * static_cast<double>(w.scale[w.per_tensor() ? 0 : i]);
    const double q = std::nearbyint((*values)[i] / unit);
    if (!(std::abs(q) <= kLargestBias)) return {};
    out.push_back(static_cast<int32_t>(q));
  }
  return out;
}

/// Of a result stored in integers, where the activation is more than bounds.
bool may_use_parabolas(const Graph& graph, const Node* node) {
  const auto said = graph.metadata.find(kActivationsKey);
  const std::string activation = node->string_attr("activation", "none");
  return said != graph.metadata.end() && said->second == kParabolas && activation != "none" &&
         activation != "relu" && activation != "clip";
}

int64_t channel_axis_of(const Node* node) {
  if (node->op() == Op::FusedConv) return 0;
  return node->int_attr("transB", 0) != 0 ? 0 : 1;
}

}  // namespace

std::optional<Sink> quantized_sink(const Graph& graph, Value* value) {
  const Node* reader = only_reader(graph, value);
  if (reader == nullptr || reader->input(0) != value) return {};
  if (label_of_quantize(reader)) return Sink{reader->output(), value};
  if (reader->outputs().size() != 1) return {};
  const Node* after = only_reader(graph, reader->output());
  const auto quant =
      after != nullptr && after->input(0) == reader->output() ? label_of_quantize(after) : std::nullopt;
  if (!quant || !clamp_is_implied(reader, *quant, after->output()->type.dtype)) return {};
  return Sink{after->output(), reader->output()};
}

void put_lowered(Graph& graph, Node* node, std::vector<Value*> inputs, const std::optional<Sink>& sink) {
  Value* old = sink ? sink->quantized : node->output();
  const Value* real = sink ? sink->real : node->output();
  const std::string origin = real->origin;
  const auto perm = real->origin_perm;
  Attributes attrs = node->attrs;
  attrs["out_dtype"] = std::string(to_string(old->type.dtype));
  Node* lowered = replace_with(graph, old, node->op(), std::move(inputs), std::move(attrs), node->name);
  lowered->output()->origin = origin;
  lowered->output()->origin_perm = perm;
}

bool lower_product(Graph& graph, Node* node) {
  if (node->op() != Op::FusedConv && node->op() != Op::FusedMatMul) return false;
  const Node* x = dequantize_behind(node->input(0));
  if (x == nullptr || node->input(0)->type.dtype != DType::f32) return false;
  auto weights = symmetric_weights(node->input(1), channel_axis_of(node));
  if (!weights) return false;
  Value* bias = nullptr;
  if (node->input(2) != nullptr) {
    const auto integers = integer_bias(node->input(2), per_tensor_parameters(x)->scale[0], weights->quant);
    if (!integers) return false;
    bias = graph.add_constant(node->input(2)->name,
                              Tensor::of(Shape{static_cast<int64_t>(integers->size())}, *integers));
  }
  Value* residual = node->input(3);
  if (residual != nullptr)
    if (const Node* r = dequantize_behind(residual)) residual = labelled_operand(graph, r);
  Value* w = graph.add_constant(producer_of(node->input(1), Op::DequantizeLinear)->input(0)->name,
                                std::move(weights->values));
  w->type.quant = std::make_shared<const Quantization>(std::move(weights->quant));
  const auto sink = quantized_sink(graph, node->output());
  if (sink && may_use_parabolas(graph, node)) node->attrs["parabolas"] = int64_t{1};
  put_lowered(graph, node, {labelled_operand(graph, x), w, bias, residual}, sink);
  return true;
}

}  // namespace narrow::passes
