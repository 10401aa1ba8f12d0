#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "tensorrt/context.h"

namespace narrow::tensorrt {
namespace {

using ir::Op;

bool feeds_only_biases(const ir::Value& value) {
  return std::all_of(value.uses().begin(), value.uses().end(), [](const ir::Use& use) {
    const Op op = use.node->op();
    return use.index == 2 && (op == Op::Conv || op == Op::ConvTranspose || op == Op::Gemm);
  });
}

void check_type(Context& context, const ir::Node& linear) {
  const DType type = codes_of(linear).type.dtype;
  const std::string got = to_string(type);
  if (type == DType::s8 || type == DType::s4 || type == DType::f8e4m3fn || type == DType::f4e2m1) return;
  if (type == DType::s32 && linear.op() == Op::DequantizeLinear && feeds_only_biases(*linear.output()))
    return;  // float-bias says it
  if (type == DType::u8)
    context.report(linear, "signed-int8", "s8", got,
                   "quantize to s8 with zero point 0; TensorRT takes u8 on its DLA only");
  else if (is_narrow_float(type) && bits_of(type) == 8)
    context.report(linear, "float8", "f8e4m3fn", got, "quantize to f8e4m3fn");
  else
    context.report(linear, "type", "s8, s4, f8e4m3fn or f4e2m1", got, "leave the value in a float type");
}

void check_zero_point(Context& context, const ir::Node& linear) {
  const ir::Value* zero = linear.input(2);
  if (zero == nullptr) return;
  const std::string remedy = "quantize with symmetric ranges";
  if (!zero->is_constant()) {
    context.report(linear, "symmetric", "a constant zero point of 0", "one computed at run time", remedy);
    return;
  }
  const std::vector<float> values = to_floats(zero->constant());
  const auto other = std::find_if(values.begin(), values.end(), [](float z) { return z != 0; });
  if (other != values.end())
    context.report(linear, "symmetric", "zero points of 0",
                   fmt::format("{} at {}", *other, other - values.begin()), remedy);
}

void check_scale(Context& context, const ir::Node& linear) {
  const ir::Value& scale = *linear.input(1);
  const DType type = scale.type.dtype, real = reals_of(linear).type.dtype;
  if (type != real || (type != DType::f32 && type != DType::f16 && type != DType::bf16))
    context.report(
        linear, "scale-type",
        fmt::format("a scale of the float side's type, {}, one of f32, f16, bf16", to_string(real)),
        to_string(type), "cast the scale, or the value beside it");
  if (!scale.is_constant()) {
    context.report(linear, "scale-constant", "a constant scale", "one computed at run time",
                   "calibrate, and store the scale in the file");
    return;
  }
  const std::vector<float> values = to_floats(scale.constant());
  const auto bad =
      std::find_if(values.begin(), values.end(), [](float s) { return !(s > 0) || !std::isfinite(s); });
  if (bad != values.end() || values.empty())
    context.report(linear, "scale-value", "scales > 0 and finite",
                   values.empty() ? "none" : fmt::format("{} at {}", *bad, bad - values.begin()),
                   "give channels that hold only zeros a scale of 1");
}

void check_opset(Context& context, const ir::Node& linear) {
  int64_t needed = 10;
  std::string what = "QuantizeLinear";
  const auto need = [&](bool applies, int64_t opset, const char* reason) {
    if (applies && opset > needed) needed = opset, what = reason;
  };
  const DType type = codes_of(linear).type.dtype, scale = linear.input(1)->type.dtype;
  need(has_many_scales(linear), 13, "scales along an axis");
  need(type == DType::f8e4m3fn, 19, "f8e4m3fn");
  need(scale == DType::f16 || scale == DType::bf16, 19, "scales of 16 bits");
  need(type == DType::s4, 21, "s4");
  need(linear.int_attr("block_size", 0) > 0, 21, "blocks");
  need(type == DType::f4e2m1, 23, "f4e2m1");
  if (context.opset < needed)
    context.report(linear, "opset", fmt::format("opset {} or later for {}", needed, what),
                   std::to_string(context.opset), "write the file with a later opset");
}

}  // namespace

void check_parameters(Context& context, const ir::Node& linear) {
  check_type(context, linear);
  check_zero_point(context, linear);
  check_scale(context, linear);
  check_opset(context, linear);
}

}  // namespace narrow::tensorrt
