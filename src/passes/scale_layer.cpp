#include "passes/scale_layer.h"

namespace narrow::passes {
namespace {

bool is_f32_constant(const Value* value) {
  return value != nullptr && value->is_constant() && value->type.dtype == DType::f32 && !value->type.quant;
}

/// Output channel of element i of the weights.
struct ChannelOf {
  int64_t inner = 1;    // elements per step of the output axis
  int64_t outputs = 1;  // extent of that axis
  int64_t outer = 0;    // ConvTranspose [C, M/g, ...]: elements per group; 0 elsewhere

  int64_t operator()(int64_t i) const {
    const int64_t within = (i / inner) % outputs;
    return outer > 0 ? i / outer * outputs + within : within;
  }
};

ChannelOf channel_of(const Node* layer, const Tensor& w) {
  if (layer->op() == Op::Gemm) {
    if (layer->int_attr("transB", 0) != 0) return {.inner = w.dim(1), .outputs = w.dim(0)};
    return {.inner = 1, .outputs = w.dim(1)};
  }
  const int64_t spatial = w.elements() / (w.dim(0) * w.dim(1));
  if (layer->op() == Op::Conv) return {.inner = w.dim(1) * spatial, .outputs = w.dim(0)};
  const int64_t groups = layer->int_attr("group", 1);
  return {.inner = spatial, .outputs = w.dim(1), .outer = w.elements() / groups};
}

int64_t channels_of(const Node* layer, const Tensor& w) {
  if (layer->op() == Op::Gemm) return layer->int_attr("transB", 0) != 0 ? w.dim(0) : w.dim(1);
  return layer->op() == Op::Conv ? w.dim(0) : w.dim(1) * layer->int_attr("group", 1);
}

std::vector<double> bias_of(const Node* layer, int64_t channels) {
  std::vector<double> bias(static_cast<size_t>(channels), 0.0);
  if (layer->input(2) == nullptr) return bias;
  const double beta = layer->op() == Op::Gemm ? static_cast<double>(layer->float_attr("beta", 1.0F)) : 1.0;
  const auto given = to_floats(layer->input(2)->constant());
  for (size_t i = 0; i < bias.size(); ++i)
    bias[i] = beta * static_cast<double>(given.size() == 1 ? given[0] : given.at(i));
  return bias;
}

}  // namespace

int64_t foldable_channels(const Graph& graph, const Value* output) {
  if (output == nullptr || output->producer() == nullptr || graph.readers(output) != 1) return 0;
  const Node* layer = output->producer();
  if (layer->op() != Op::Conv && layer->op() != Op::ConvTranspose && layer->op() != Op::Gemm) return 0;
  if (!is_f32_constant(layer->input(1))) return 0;
  const Tensor& w = layer->input(1)->constant();
  if (w.elements() == 0 || w.rank() < 2) return 0;
  if (layer->op() == Op::ConvTranspose && w.dim(0) % layer->int_attr("group", 1) != 0) return 0;
  const int64_t channels = channels_of(layer, w);
  const Value* bias = layer->input(2);
  if (bias == nullptr) return channels;
  if (!is_f32_constant(bias)) return 0;
  // Gemm's C broadcasts to [M, N]: only one that is the same for every row is a bias.
  return per_channel(bias, 2, 1, channels) ? channels : 0;
}

void scale_layer(Graph& graph, Node* layer, const std::vector<double>& scale,
                 const std::vector<double>& shift, Value* old) {
  const auto channels = static_cast<int64_t>(scale.size());
  Tensor w = layer->input(1)->constant().clone();
  const ChannelOf channel = channel_of(layer, w);
  const auto data = w.mutable_data<float>();
  for (size_t i = 0; i < data.size(); ++i)
    data[i] = static_cast<float>(static_cast<double>(data[i]) *
                                 scale.at(static_cast<size_t>(channel(static_cast<int64_t>(i)))));
  const std::vector<double> bias = bias_of(layer, channels);
  std::vector<float> folded(bias.size());
  for (size_t i = 0; i < bias.size(); ++i) folded[i] = static_cast<float>(bias[i] * scale[i] + shift.at(i));

  const std::string stem = layer->input(1)->name;
  Attributes attrs = layer->attrs;
  if (layer->op() == Op::Gemm) attrs["beta"] = 1.0F;
  Value* weights = graph.add_constant(stem, std::move(w));
  Value* new_bias = add_floats(graph, layer->input(2) != nullptr ? layer->input(2)->name : stem + "_bias",
                               Shape{channels}, folded);
  replace_with(graph, old, layer->op(), {layer->input(0), weights, new_bias}, std::move(attrs), layer->name);
}

}  // namespace narrow::passes
