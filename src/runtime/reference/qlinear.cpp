// The element-wise and pooling operators of com.microsoft, as ONNX Runtime's quantizer writes them: inputs to
// float, the float op, quantized with y_scale and y_zero_point (absent: 0).
#include <array>

#include "runtime/reference/functions.h"
#include "runtime/reference/quantized.h"

namespace narrow::runtime::reference {
namespace {

/// Inputs i, i + 1, i + 2: integers, scale, zero point -> f32.
Result<Tensor> real_input(const ir::Node& node, Inputs inputs, size_t i) {
  const Tensor* scale = optional_input(inputs, i + 1);
  if (inputs[i] == nullptr || scale == nullptr)
    return invalid(node, "a tensor and its scale", "an absent input");
  NARROW_TRY(const double factor, scale_of(node, scale));
  NARROW_TRY(const int32_t zero, zero_point_of(node, optional_input(inputs, i + 2)));
  return dequantize_value(node, *inputs[i], {{static_cast<float>(factor)}, {zero}, -1});
}

/// f32 -> integers of `type`, parameters from inputs i and i + 1.
Outputs quantized_output(const ir::Node& node, Inputs inputs, size_t i, Outputs real, DType type) {
  if (!real.ok()) return real;
  const Tensor* scale = optional_input(inputs, i);
  if (scale == nullptr) return invalid(node, "y_scale", "an absent input");
  const Tensor* zero_point = optional_input(inputs, i + 1);
  NARROW_TRY(const double factor, scale_of(node, scale));
  NARROW_TRY(const int32_t zero, zero_point_of(node, zero_point));
  const Quantization q{{static_cast<float>(factor)}, {zero}, -1};
  NARROW_TRY(Tensor y,
             quantize_value(node, real->at(0), q, zero_point != nullptr ? zero_point->dtype() : type));
  return one(std::move(y));
}

/// X, x_scale, x_zero, y_scale, y_zero
Outputs unary(const ir::Node& node, Inputs inputs, Function f) {
  NARROW_TRY(const Tensor x, real_input(node, inputs, 0));
  const std::array<const Tensor*, 1> only = {&x};
  return quantized_output(node, inputs, 3, f(node, only), inputs[0]->dtype());
}

/// A, a_scale, a_zero, B, b_scale, b_zero, y_scale, y_zero
Outputs binary(const ir::Node& node, Inputs inputs, Function f) {
  NARROW_TRY(const Tensor a, real_input(node, inputs, 0));
  NARROW_TRY(const Tensor b, real_input(node, inputs, 3));
  const std::array<const Tensor*, 2> both = {&a, &b};
  return quantized_output(node, inputs, 6, f(node, both), inputs[0]->dtype());
}

}  // namespace

Outputs eval_qlinear_add(const ir::Node& node, Inputs inputs) { return binary(node, inputs, eval_add); }
Outputs eval_qlinear_mul(const ir::Node& node, Inputs inputs) { return binary(node, inputs, eval_mul); }
Outputs eval_qlinear_sigmoid(const ir::Node& node, Inputs inputs) {
  return unary(node, inputs, eval_sigmoid);
}
Outputs eval_qlinear_leaky_relu(const ir::Node& node, Inputs inputs) {
  return unary(node, inputs, eval_leaky_relu);
}
Outputs eval_qlinear_average_pool(const ir::Node& node, Inputs inputs) {
  return unary(node, inputs, eval_average_pool);
}
Outputs eval_qlinear_global_average_pool(const ir::Node& node, Inputs inputs) {
  return unary(node, inputs, eval_global_average_pool);
}

/// The attribute opset says which Softmax: below 13, all axes from `axis` on are one.
Outputs eval_qlinear_softmax(const ir::Node& node, Inputs inputs) {
  if (node.int_attr("opset", 13) >= 13) return unary(node, inputs, eval_softmax);
  const Tensor& x = *inputs[0];
  NARROW_TRY(const int64_t axis, normal_axis(node, node.int_attr("axis", 1), x.rank()));
  if (axis == x.rank() - 1) return unary(node, inputs, eval_softmax);
  return unsupported(node, "softmax along the last axis before opset 13", "axis " + std::to_string(axis));
}

/// y_scale, y_zero, then tensor, scale, zero point of each part.
Outputs eval_qlinear_concat(const ir::Node& node, Inputs inputs) {
  if ((inputs.size() - 2) % 3 != 0)
    return invalid(node, "a tensor, scale and zero point per part", std::to_string(inputs.size()));
  std::vector<Tensor> parts;
  for (size_t i = 2; i < inputs.size(); i += 3) {
    NARROW_TRY(Tensor part, real_input(node, inputs, i));
    parts.push_back(std::move(part));
  }
  std::vector<const Tensor*> pointers;
  for (const Tensor& part : parts) pointers.push_back(&part);
  return quantized_output(node, inputs, 0, eval_concat(node, pointers), inputs[2]->dtype());
}

}  // namespace narrow::runtime::reference
