#include "onnx/finite.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <type_traits>

namespace narrow::onnx {
namespace {

struct Census {
  int64_t first_nan = -1, first_inf = -1;
  bool finite_are_zero = true;
};

template <class T>
Census census_of(std::span<const T> values) {
  using Wide = std::conditional_t<std::is_same_v<T, double>, double, float>;
  Census census;
  for (size_t i = 0; i < values.size(); ++i) {
    const auto v = static_cast<Wide>(values[i]);
    if (std::isfinite(v)) {
      census.finite_are_zero = census.finite_are_zero && v == 0;
    } else if (int64_t& first = std::isnan(v) ? census.first_nan : census.first_inf; first < 0) {
      first = static_cast<int64_t>(i);
    }
  }
  return census;
}

bool read_as_mask(const ir::Value& value) {
  return std::all_of(value.uses().begin(), value.uses().end(), [](const ir::Use& use) {
    return use.node->op() == ir::Op::Where || use.node->op() == ir::Op::Add;
  });
}

}  // namespace

Status check_finite(const ir::Graph& graph) {
  for (const ir::Value* value : graph.values()) {
    if (!value->is_constant() || !is_float(value->type.dtype) || value->constant().elements() <= 1) continue;
    Census census;
    dispatch(value->type.dtype, [&](auto tag) {
      using T = decltype(tag);
      if constexpr (!std::is_integral_v<T>) census = census_of(value->constant().data<T>());
    });
    const bool mask = census.finite_are_zero || read_as_mask(*value);
    const bool nan = census.first_nan >= 0;
    if (!nan && (census.first_inf < 0 || mask)) continue;
    return Error{
        .code = Code::invalid_model,
        .subject = "initializer '" + value->name + "'",
        .expected = "finite weights",
        .got = fmt::format("{} at index {}", nan ? "NaN" : "Inf", nan ? census.first_nan : census.first_inf),
        .hint = "the training run may have diverged; export a healthy checkpoint again"};
  }
  return {};
}

namespace {

/// What a QuantizeLinear or DequantizeLinear works on is a constant, or the integers of one.
bool is_about_constant(const ir::Node& node) {
  const ir::Value* value = node.input(0);
  if (node.op() == ir::Op::DequantizeLinear && !value->is_constant() && value->producer() != nullptr &&
      value->producer()->op() == ir::Op::QuantizeLinear)
    value = value->producer()->input(0);
  return value != nullptr && value->is_constant();
}

}  // namespace

Status check_scales(const ir::Graph& graph) {
  for (const ir::Node* node : graph.nodes()) {
    const bool quantizes = node->op() == ir::Op::QuantizeLinear || node->op() == ir::Op::DequantizeLinear;
    if (!quantizes || node->inputs().size() < 2 || node->input(1) == nullptr ||
        !node->input(1)->is_constant())
      continue;
    const std::vector<float> scales = to_floats(node->input(1)->constant());
    // Trainers give a channel of weights that are all zeros the scale 0: it is zeros, whatever its codes.
    const bool zero_serves = is_about_constant(*node);
    const auto bad = std::find_if(scales.begin(), scales.end(), [&](float s) {
      return !(s > 0 || (s == 0 && zero_serves)) || std::isinf(s);
    });
    if (bad != scales.end())
      return Error{.code = Code::invalid_model,
                   .subject = node->location(),
                   .expected = "scale > 0 and finite in every channel",
                   .got = fmt::format("{} at channel {}", *bad, bad - scales.begin()),
                   .hint = "quantize the model again"};
  }
  return {};
}

}  // namespace narrow::onnx
