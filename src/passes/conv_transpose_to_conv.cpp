// ConvTranspose of stride s becomes a Conv that makes all s x s pixels a pixel turns into, and DepthToSpace:
//   u = s q + r (r < s, one phase):   y[u - pad] = sum_m W[r + s m] x[q - m],  m < T = ceil(k / s)
// so q runs over H + T - 1 positions of a Conv with kernel T (taps reversed, beyond k zero) and pads T - 1,
// and a Slice cuts off the pads. Channels of the Conv: (phase row, phase column, o), or (o, row, column) in
// groups. It quantizes and runs as convolutions do. k = s (most decoders): a 1x1 Conv, nothing cut or wasted.
// Over an image one pixel high (a sequence) only columns have phases: Reshape, Transpose, Reshape.
#include <limits>

#include "ir/schema.h"
#include "passes/list.h"
#include "passes/match.h"

namespace narrow::passes {
namespace {

/// One axis of the layer.
struct Axis {
  int64_t kernel, stride, begin, end, extra;  // pads, output_padding
  int64_t taps() const { return (kernel + stride - 1) / stride; }
  int64_t cut_behind() const { return stride * taps() - kernel + end - extra; }
};

struct Layer {
  Axis h, w;
  int64_t group, inputs, outputs;  // channels of a group
  const Tensor* weights;           // [group * inputs, outputs, kh, kw]
  int64_t phases() const { return h.stride * w.stride; }
};

std::optional<Layer> layer_of(const Node* node) {
  const Value *w = node->input(1), *b = node->input(2);
  if (w == nullptr || !w->is_constant() || w->constant().dtype() != DType::f32 || w->constant().rank() != 4)
    return {};
  if (b != nullptr && (!b->is_constant() || b->constant().dtype() != DType::f32)) return {};
  if (node->has("auto_pad") || node->has("output_shape") || node->int_attr("channels_last", 0) != 0)
    return {};
  const Shape& shape = w->constant().shape();
  const auto strides = node->ints_attr("strides", {1, 1}), dilations = node->ints_attr("dilations", {1, 1}),
             pads = node->ints_attr("pads", {0, 0, 0, 0}), extra = node->ints_attr("output_padding", {0, 0});
  const int64_t group = node->int_attr("group", 1);
  const bool plain = strides.size() == 2 && pads.size() == 4 && extra.size() == 2 && strides[0] > 0 &&
                     strides[1] > 0 && dilations == std::vector<int64_t>{1, 1} && group > 0 && shape[0] > 0 &&
                     shape[0] % group == 0 && shape[1] > 0 && shape[2] > 0 && shape[3] > 0;
  if (!plain) return {};
  Layer layer{.h = {shape[2], strides[0], pads[0], pads[2], extra[0]},
              .w = {shape[3], strides[1], pads[1], pads[3], extra[1]},
              .group = group,
              .inputs = shape[0] / group,
              .outputs = shape[1],
              .weights = &w->constant()};
  for (const Axis& axis : {layer.h, layer.w})
    if (axis.begin < 0 || axis.end < 0 || axis.extra < 0 || axis.cut_behind() < 0) return {};
  const bool sequence = known_dim(node->input(0), 2) == 1 && layer.h.kernel == 1 && layer.h.stride == 1 &&
                        layer.h.begin + layer.h.end + layer.h.extra == 0;
  if (layer.h.stride != layer.w.stride && !sequence) return {};
  return layer;
}

/// The row of the Conv's weights that makes phase (i, j) of output channel `o` of group `g`.
int64_t row_of(const Layer& layer, int64_t g, int64_t o, int64_t i, int64_t j) {
  const int64_t phase = i * layer.w.stride + j, channel = g * layer.outputs + o;
  return layer.group == 1 ? phase * layer.outputs + channel : channel * layer.phases() + phase;
}

Tensor conv_weights(const Layer& layer) {
  const int64_t th = layer.h.taps(), tw = layer.w.taps();
  Tensor conv =
      Tensor::zeros(DType::f32, {layer.group * layer.outputs * layer.phases(), layer.inputs, th, tw});
  const auto from = layer.weights->data<float>();
  auto to = conv.mutable_data<float>();
  for (int64_t g = 0; g < layer.group; ++g)
    for (int64_t c = 0; c < layer.inputs; ++c)
      for (int64_t o = 0; o < layer.outputs; ++o)
        for (int64_t y = 0; y < layer.h.kernel; ++y)
          for (int64_t x = 0; x < layer.w.kernel; ++x) {
            const int64_t row = row_of(layer, g, o, y % layer.h.stride, x % layer.w.stride);
            const int64_t ty = th - 1 - y / layer.h.stride, tx = tw - 1 - x / layer.w.stride;
            const int64_t source =
                (((g * layer.inputs + c) * layer.outputs + o) * layer.h.kernel + y) * layer.w.kernel + x;
            to[static_cast<size_t>(((row * layer.inputs + c) * th + ty) * tw + tx)] =
                from[static_cast<size_t>(source)];
          }
  return conv;
}

std::vector<float> conv_bias(const Layer& layer, const Tensor& bias) {
  const auto from = bias.data<float>();
  std::vector<float> to(static_cast<size_t>(layer.group * layer.outputs * layer.phases()));
  for (int64_t g = 0; g < layer.group; ++g)
    for (int64_t o = 0; o < layer.outputs; ++o)
      for (int64_t i = 0; i < layer.h.stride; ++i)
        for (int64_t j = 0; j < layer.w.stride; ++j)
          to[static_cast<size_t>(row_of(layer, g, o, i, j))] =
              from[static_cast<size_t>(g * layer.outputs + o)];
  return to;
}

/// Rows and columns that the pads take away.
Result<Value*> cut(Graph& graph, const Layer& layer, Value* x, const std::string& name) {
  const auto end = [](const Axis& axis) {
    return axis.cut_behind() > 0 ? -axis.cut_behind() : std::numeric_limits<int64_t>::max();
  };
  Value* starts = add_ints(graph, name + "_starts", {layer.h.begin, layer.w.begin});
  Value* ends = add_ints(graph, name + "_ends", {end(layer.h), end(layer.w)});
  return emit(graph, Op::Slice, {x, starts, ends, add_ints(graph, name + "_axes", {2, 3})}, name + "_cut");
}

/// [N, phases * C, 1, Q] (or C * phases, in groups) -> [N, C, 1, Q * phases].
Result<Value*> interleave(Graph& graph, const Layer& layer, Value* x, const std::string& name) {
  const int64_t channels = layer.group * layer.outputs, s = layer.w.stride;
  const bool joint = layer.group == 1;
  Value* apart =
      add_ints(graph, name + "_apart",
               joint ? std::vector<int64_t>{0, s, channels, -1} : std::vector<int64_t>{0, channels, s, -1});
  NARROW_TRY(Value * y, emit(graph, Op::Reshape, {x, apart}, name + "_parts"));
  NARROW_TRY(y,
             emit(graph, Op::Transpose, {y}, name + "_turned",
                  {{"perm", joint ? std::vector<int64_t>{0, 2, 3, 1} : std::vector<int64_t>{0, 1, 3, 2}}}));
  return emit(graph, Op::Reshape, {y, add_ints(graph, name + "_together", {0, channels, 1, -1})},
              name + "_pixels");
}

Result<Value*> spread(Graph& graph, const Layer& layer, Value* x, const std::string& name) {
  if (layer.h.stride != layer.w.stride) return interleave(graph, layer, x, name);
  return emit(graph, Op::DepthToSpace, {x}, name + "_pixels",
              {{"blocksize", layer.h.stride}, {"mode", std::string(layer.group == 1 ? "DCR" : "CRD")}});
}

Status rewrite(Graph& graph, Node* node, const Layer& layer) {
  Value* old = node->output();
  const std::string name = old->name;
  const int64_t ph = layer.h.taps() - 1, pw = layer.w.taps() - 1;
  std::vector<Value*> inputs = {node->input(0),
                                graph.add_constant(node->input(1)->name, conv_weights(layer))};
  if (node->input(2) != nullptr) {
    const std::vector<float> bias = conv_bias(layer, node->input(2)->constant());
    inputs.push_back(add_floats(graph, node->input(2)->name, {static_cast<int64_t>(bias.size())}, bias));
  }
  NARROW_TRY(Value * y, emit(graph, Op::Conv, std::move(inputs), name + "_phases",
                             {{"kernel_shape", std::vector<int64_t>{ph + 1, pw + 1}},
                              {"pads", std::vector<int64_t>{ph, pw, ph, pw}},
                              {"strides", std::vector<int64_t>{1, 1}},
                              {"dilations", std::vector<int64_t>{1, 1}},
                              {"group", layer.group}}));
  y->producer()->name = node->name;
  y->origin = y->name;  // calibration and verification know it by its own name
  if (layer.phases() > 1) {
    NARROW_TRY(y, spread(graph, layer, y, name));
  }
  if (layer.h.begin + layer.w.begin + layer.h.cut_behind() + layer.w.cut_behind() > 0) {
    y->origin = y->name;
    NARROW_TRY(y, cut(graph, layer, y, name));
  }
  take_place(graph, old, y);
  return {};
}

}  // namespace

Result<int64_t> conv_transpose_to_conv(Graph& graph, const PassContext& context) {
  (void)context;
  int64_t rewritten = 0;
  for (Node* node : graph.nodes_of(Op::ConvTranspose)) {
    const std::optional<Layer> layer = layer_of(node);
    if (!layer) continue;
    NARROW_DO(rewrite(graph, node, *layer));
    ++rewritten;
  }
  return rewritten;
}

}  // namespace narrow::passes
