// narrow's own FusedConv and FusedMatMul (ir/ops/fused.cpp): brought into the form of kernels/conv/conv.h,
// then kernels::conv_reference, which holds the contract for floats and integers alike.
#include <fmt/format.h>

#include <array>

#include "kernels/conv/conv.h"
#include "kernels/conv/conv_clamp.h"
#include "runtime/reference/convolve.h"
#include "runtime/reference/functions.h"
#include "runtime/reference/multiply.h"

namespace narrow::runtime::reference {
namespace {

using kernels::ConvSpec;

Result<kernels::Activation> activation_of(const ir::Node& node) {
  const std::string name = node.string_attr("activation", "none");
  for (int i = 0; i <= static_cast<int>(kernels::Act::mish); ++i)
    if (name == kernels::to_string(static_cast<kernels::Act>(i)))
      return kernels::Activation{static_cast<kernels::Act>(i), node.float_attr("alpha", 0),
                                 node.float_attr("beta", 0)};
  return unsupported(node, "an activation of kernels/activation.h", name);
}

Result<kernels::TensorQuant> tensor_quant(const ir::Node& node, const ir::Value* value) {
  const Quantization* q = value->type.quant.get();
  if (q == nullptr || !q->per_tensor() || q->scale.size() != 1 || q->zero_point.size() != 1)
    return invalid(node, "integers quantized per tensor", ir::to_string(value->type));
  return kernels::TensorQuant{q->scale[0], q->zero_point[0]};
}

/// Of the output: one scale, or one for each of its last axis, which are channels then.
Status set_dst_quant(const ir::Node& node, ConvSpec& s) {
  const ir::TensorType& type = node.output()->type;
  const Quantization* q = type.quant.get();
  if (q == nullptr || q->per_tensor() || q->axis != type.rank() - 1) {
    NARROW_TRY(s.dst_quant, tensor_quant(node, node.output()));
    return {};
  }
  s.dst_quant.zero_point = q->zero_point[0];
  s.dst_scales = q->scale;
  return {};
}

/// Types, quantizations and activation of inputs x, w, bias, residual and the output.
Result<ConvSpec> spec_of(const ir::Node& node, Inputs inputs, int64_t channels) {
  const auto storable = [](DType t) {
    return t == DType::f32 || t == DType::bf16 || t == DType::f16 || is_int8(t);
  };
  const Tensor *bias = optional_input(inputs, 2), *residual = optional_input(inputs, 3);
  ConvSpec s;
  s.src = inputs[0]->dtype(), s.weights = inputs[1]->dtype();
  s.dst = node.output()->type.dtype;
  if (const auto stated = parse_dtype(node.string_attr("out_dtype", ""))) s.dst = *stated;
  if (s.dst == DType::undefined) s.dst = s.src;
  s.bias = bias != nullptr;
  if (residual != nullptr) s.residual = residual->dtype();
  NARROW_TRY(s.activation, activation_of(node));
  for (const DType t : {s.src, s.weights, s.dst, residual != nullptr ? s.residual : DType::f32})
    if (!storable(t)) return wrong_type(node, t);
  if (is_int8(s.src) ? s.weights != DType::s8 || (s.bias && bias->dtype() != DType::s32)
                     : is_int8(s.weights) || (s.bias && !is_float(bias->dtype())))
    return invalid(node, "integers with s8 weights and s32 bias, or floats", to_string(s.weights));
  if (s.bias && bias->shape() != Shape{channels})
    return invalid(node, fmt::format("a bias of [{}]", channels), to_string(bias->shape()));
  if (is_int8(s.src)) {
    NARROW_TRY(s.src_quant, tensor_quant(node, node.input(0)));
    const Quantization* w = node.input(1)->type.quant.get();
    if (w == nullptr || (w->scale.size() != 1 && static_cast<int64_t>(w->scale.size()) != channels))
      return invalid(node, fmt::format("1 or {} weight scales", channels),
                     ir::to_string(node.input(1)->type));
    s.weight_scale = w->scale;
  }
  if (is_int8(s.dst)) NARROW_DO(set_dst_quant(node, s));
  if (is_int8(s.residual)) {
    NARROW_TRY(s.residual_quant, tensor_quant(node, node.input(3)));
  }
  if (node.int_attr("parabolas", 0) != 0) give_function(s);
  return s;
}

/// A bias as the kernels take it: f32 beside floats, s32 beside integers.
Tensor kernel_bias(Inputs inputs) {
  const Tensor* bias = optional_input(inputs, 2);
  if (bias == nullptr) return {};
  return is_int8(inputs[0]->dtype()) ? *bias : cast(*bias, DType::f32);
}

kernels::ConvShape conv_shape(const ConvGeometry& g) {
  const Window& w = g.window;
  return {.n = g.n,
          .h = w.in[1],
          .w = w.in[2],
          .c = g.c,
          .oh = w.out[1],
          .ow = w.out[2],
          .oc = g.oc,
          .kh = w.kernel[1],
          .kw = w.kernel[2],
          .stride_h = w.stride[1],
          .stride_w = w.stride[2],
          .pad_top = w.pad_begin[1],
          .pad_left = w.pad_begin[2],
          .dilation_h = w.dilation[1],
          .dilation_w = w.dilation[2],
          .groups = g.groups};
}

/// [n, c, w] or [n, c, h, w] to [n, h, w, c], unless it lies so.
Result<Tensor> to_channels_last(const ir::Node& node, const Tensor& x, bool channels_last) {
  if (channels_last) return x;
  if (x.rank() == 3) return permute(node, x, {0, 2, 1});
  return permute(node, x, {0, 2, 3, 1});
}

}  // namespace

Outputs eval_fused_conv(const ir::Node& node, Inputs inputs) {
  const Tensor &x = *inputs[0], &w = *inputs[1];
  const Tensor* residual = optional_input(inputs, 3);
  const bool last = node.int_attr("channels_last", 0) != 0;
  if (last ? x.rank() != 4 : x.rank() != 4 && x.rank() != 3)
    return unsupported(node, "one or two spatial axes", to_string(x.shape()));
  const Shape first = last ? Shape{x.dim(0), x.dim(3), x.dim(1), x.dim(2)} : x.shape();
  NARROW_TRY(const ConvGeometry g, conv_geometry(node, first, w.shape(), nullptr));
  NARROW_TRY(ConvSpec spec, spec_of(node, inputs, g.oc));
  spec.shape = conv_shape(g);
  if (const std::string reason = kernels::unsupported_dst_scales(spec); !reason.empty())
    return unsupported(node, "one scale of the output", reason);
  Shape shape = g.output_shape();
  if (last) shape = {shape[0], shape[2], shape[3], shape[1]};
  if (residual != nullptr && residual->shape() != shape)
    return invalid(node, "R " + to_string(shape), to_string(residual->shape()));
  NARROW_TRY(const Tensor src, to_channels_last(node, x, last));
  Tensor r;
  if (residual != nullptr) {
    NARROW_TRY(r, to_channels_last(node, *residual, last));
  }
  const Shape lying = last            ? shape
                      : x.rank() == 3 ? Shape{shape[0], shape[2], shape[1]}
                                      : Shape{shape[0], shape[2], shape[3], shape[1]};
  NARROW_TRY(Tensor y, make_tensor(node, spec.dst, lying));
  const Tensor bias = kernel_bias(inputs);
  kernels::conv_reference(spec, {w.raw(), bias.raw()}, {src.raw(), r.raw(), y.mutable_raw(), nullptr}, true);
  if (!last) {
    NARROW_TRY(y, permute(node, y, x.rank() == 3 ? Shape{0, 2, 1} : Shape{0, 3, 1, 2}));
  }
  return one(std::move(y));
}

/// Every matrix of B (transposed to [n, k]) is the weights of a 1x1 convolution over the rows of A.
Outputs eval_fused_matmul(const ir::Node& node, Inputs inputs) {
  const Tensor& a = *inputs[0];
  const Tensor* residual = optional_input(inputs, 3);
  if (a.rank() < 2 || inputs[1]->rank() < 2) return invalid(node, "matrices", to_string(a.shape()));
  std::vector<int64_t> swap;
  for (int64_t i = 0; i < inputs[1]->rank(); ++i) swap.push_back(i);
  std::swap(swap[swap.size() - 1], swap[swap.size() - 2]);
  const bool transposed = node.int_attr("transB", 0) != 0;
  NARROW_TRY(const Tensor other, permute(node, *inputs[1], swap));
  const Tensor &weights = transposed ? *inputs[1] : other, &b = transposed ? other : *inputs[1];
  NARROW_TRY(const Product p, product_of(node, a.shape(), b.shape()));
  NARROW_TRY(ConvSpec spec, spec_of(node, inputs, p.n));
  spec.shape = {.n = 1, .h = 1, .w = p.m, .c = p.k, .oh = 1, .ow = p.m, .oc = p.n};
  if (const std::string reason = kernels::unsupported_dst_scales(spec); !reason.empty())
    return unsupported(node, "one scale of the output", reason);
  if (residual != nullptr && residual->shape() != p.result)
    return invalid(node, "R " + to_string(p.result), to_string(residual->shape()));
  NARROW_TRY(Tensor y, make_tensor(node, spec.dst, p.result));
  const Tensor bias = kernel_bias(inputs);
  const auto matrix = [](const Tensor& t, int64_t index, int64_t elements) {
    return static_cast<const std::byte*>(t.raw()) + index * elements * bytes_of(t.dtype());
  };
  walk<2>(p.batch, {broadcast_strides(p.a_batch, p.batch), broadcast_strides(p.b_batch, p.batch)},
          [&](int64_t i, const auto& at) {
            const void* r = residual != nullptr ? matrix(*residual, i, p.m * p.n) : nullptr;
            auto* to = static_cast<std::byte*>(y.mutable_raw()) + i * p.m * p.n * bytes_of(y.dtype());
            kernels::conv_reference(spec, {matrix(weights, at[1], p.n * p.k), bias.raw()},
                                    {matrix(a, at[0], p.m * p.k), r, to, nullptr}, true);
          });
  return one(std::move(y));
}

}  // namespace narrow::runtime::reference
