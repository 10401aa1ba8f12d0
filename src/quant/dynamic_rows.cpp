#include "quant/dynamic_rows.h"

#include <algorithm>
#include <cmath>

namespace narrow::quant {

using ir::Op;
using ir::Value;

namespace {
constexpr float kTiny = 1e-30F;  // the scale of a row of zeros
}

const Rows& DynamicRows::of(Value* x, bool whole_samples) {
  Rows& rows = made_[{x, whole_samples}];
  if (rows.real == nullptr) rows = make(x, whole_samples);
  return rows;
}

Value* DynamicRows::scalar(const std::string& name, float number) {
  return graph_.add_constant(name, Tensor::scalar(number));
}

Value* DynamicRows::node(Op op, std::vector<Value*> inputs, const std::string& name, ir::Attributes attrs) {
  return graph_.add_node(op, std::move(inputs), {name}, std::move(attrs), name)->output();
}

Rows DynamicRows::make(Value* x, bool whole_samples) {
  const std::string name = x->name + (whole_samples ? "_sample" : "_row");
  std::vector<int64_t> axes = {-1};
  if (whole_samples) axes = {1, 2, 3};
  Value* axes_value =
      graph_.add_constant(name + "_axes", Tensor::of(Shape{static_cast<int64_t>(axes.size())}, axes));
  Value* largest = node(Op::ReduceMax, {node(Op::Abs, {x}, name + "_abs"), axes_value}, name + "_max",
                        {{"keepdims", int64_t{1}}});
  Value* scaled = node(Op::Mul, {largest, scalar(name + "_step", 1.0F / 127)}, name + "_unbounded");
  Value* scale = node(Op::Max, {scaled, scalar(name + "_tiny", kTiny)}, name + "_scale");
  Value* divided = node(Op::Div, {x, scale}, name + "_divided");
  Value *one = scalar(name + "_one", 1.0F),
        *centre = graph_.add_constant(name + "_zero_point", Tensor::scalar(uint8_t{128}));
  Value* codes = node(Op::QuantizeLinear, {divided, one, centre}, name + "_quantized");
  return {node(Op::DequantizeLinear, {codes, one, centre}, name + "_dequantized"), scale};
}

void round_rows(float* x, int64_t rows, int64_t length) {
  for (int64_t r = 0; r < rows; ++r, x += length) {
    float largest = 0;
    for (int64_t i = 0; i < length; ++i) largest = std::max(largest, std::fabs(x[i]));
    const float scale = std::max(largest * (1.0F / 127), kTiny);
    // Adding 1.5 * 2^23 rounds to even; quotients are 127 at most.
    for (int64_t i = 0; i < length; ++i) x[i] = ((x[i] / scale + 12582912.0F) - 12582912.0F) * scale;
  }
}

}  // namespace narrow::quant
