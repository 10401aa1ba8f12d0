// Per-channel scaling that no layer could take over:
//   BatchNormalization(x), Add(Mul(x, s), t) on [N,C,H,W]  ->  depthwise 1x1 Conv, W[c,0,0,0] = s[c], b[c] =
//   t[c] BatchNormalization(x) on other ranks                   ->  Mul and Add
// so that it runs as a convolution: quantizable, with a fused activation. Needs C known; s must really be per
// channel. Mul and Add behind a layer stay, for fold_affine: a Caffe model's BatchNormalization, Mul, Add are
// one layer.
#include "passes/batchnorm.h"
#include "passes/list.h"
#include "passes/scale_layer.h"

namespace narrow::passes {
namespace {

std::vector<float> rounded(const std::vector<double>& values) { return {values.begin(), values.end()}; }

void to_depthwise(Graph& graph, Value* x, const std::vector<float>& scale, const std::vector<float>& shift,
                  Value* old) {
  const auto channels = static_cast<int64_t>(scale.size());
  Value* w = add_floats(graph, old->name + "_scale", Shape{channels, 1, 1, 1}, scale);
  Value* b = add_floats(graph, old->name + "_shift", Shape{channels}, shift);
  Attributes attrs{{"group", channels},
                   {"kernel_shape", std::vector<int64_t>{1, 1}},
                   {"pads", std::vector<int64_t>{0, 0, 0, 0}},
                   {"strides", std::vector<int64_t>{1, 1}},
                   {"dilations", std::vector<int64_t>{1, 1}}};
  replace_with(graph, old, Op::Conv, {x, w, b}, std::move(attrs));
}

Status to_mul_add(Graph& graph, Node* bn, const Affine& affine) {
  Value* x = bn->input(0);
  Shape shape(static_cast<size_t>(x->type.rank()), 1);
  shape.at(1) = static_cast<int64_t>(affine.scale.size());
  shape.erase(shape.begin());
  Value* scale = add_floats(graph, bn->output()->name + "_scale", shape, rounded(affine.scale));
  Value* shift = add_floats(graph, bn->output()->name + "_shift", shape, rounded(affine.shift));
  NARROW_TRY(Value * scaled, emit(graph, Op::Mul, {x, scale}, bn->output()->name + "_scaled"));
  replace_with(graph, bn->output(), Op::Add, {scaled, shift});
  return {};
}

Result<bool> rewrite_batchnorm(Graph& graph, Node* bn) {
  const auto affine = affine_of_batchnorm(graph, bn);
  const ir::TensorType& type = bn->input(0)->type;
  if (!affine || !type.ranked || type.rank() < 2 || type.dtype != DType::f32) return false;
  if (type.rank() == 4) {
    to_depthwise(graph, bn->input(0), rounded(affine->scale), rounded(affine->shift), bn->output());
    return true;
  }
  NARROW_DO(to_mul_add(graph, bn, *affine));
  return true;
}

/// The constant operand's numbers when it spans exactly the channel axis of the other operand x.
std::optional<std::vector<float>> channel_operand(const Node* node, const Value* x) {
  if (!x->type.ranked || x->type.rank() != 4 || x->type.dtype != DType::f32) return {};
  const int64_t channels = known_dim(x, 1);
  const Value* constant = other_input(node, x);
  if (channels <= 1 || constant == x || !is_float_constant(constant) ||
      constant->constant().elements() != channels)
    return {};
  return per_channel(constant, 4, 1, channels);
}

bool rewrite_mul_add(Graph& graph, Node* add) {
  for (int i = 0; i < 2; ++i) {
    Node* mul = ir::producer_if_only_use(graph, add->input(i), Op::Mul);
    if (mul == nullptr) continue;
    const auto shift = channel_operand(add, mul->output());
    if (!shift) continue;
    for (int j = 0; j < 2; ++j) {
      const auto scale = channel_operand(mul, mul->input(j));
      if (!scale || foldable_channels(graph, mul->input(j)) > 0) continue;
      to_depthwise(graph, mul->input(j), *scale, *shift, add->output());
      return true;
    }
  }
  return false;
}

}  // namespace

Result<int64_t> batchnorm_to_conv(Graph& graph, const PassContext& context) {
  (void)context;
  int64_t changed = 0;
  for (Node* bn : graph.nodes_of(Op::BatchNormalization)) {
    if (graph.is_dead(bn)) continue;
    NARROW_TRY(const bool done, rewrite_batchnorm(graph, bn));
    changed += done ? 1 : 0;
  }
  for (Node* add : graph.nodes_of(Op::Add))
    if (!graph.is_dead(add) && rewrite_mul_add(graph, add)) ++changed;
  return changed;
}

}  // namespace narrow::passes
