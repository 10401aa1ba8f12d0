#include <fmt/format.h>

#include "base/memory.h"
#include "ir/schema.h"

namespace narrow::ir {

// ---------------------------------------------------------------- what inference sees

const Tensor* NodeView::constant(int i) const {
  return has(i) && node_.input(i)->is_constant() ? &node_.input(i)->constant() : nullptr;
}

std::optional<std::vector<int64_t>> NodeView::ints(int i) const {
  const Tensor* tensor = constant(i);
  if (tensor == nullptr) return std::nullopt;
  return to_ints(*tensor);
}

Error NodeView::error(std::string expected, std::string got, std::string hint) const {
  return {.code = Code::invalid_model,
          .subject = node_.location(),
          .expected = std::move(expected),
          .got = std::move(got),
          .hint = std::move(hint)};
}

namespace {

constexpr int64_t kMaxRank = 64;

std::string names(DTypeSet types) {
  std::string text;
  for (const DType type : types.list()) text += (text.empty() ? "" : ", ") + std::string(to_string(type));
  return text;
}

/// The parameter that stands for argument i; nullptr when there are fewer.
const Parameter* parameter_at(const std::vector<Parameter>& parameters, size_t i) {
  if (i < parameters.size()) return &parameters[i];
  return !parameters.empty() && parameters.back().variadic ? &parameters.back() : nullptr;
}

Status check_inputs(const NodeView& view, const OpSchema& op) {
  const size_t given = view.node().inputs().size();
  for (size_t i = 0; i < std::max(given, op.inputs.size()); ++i) {
    const Parameter* parameter = parameter_at(op.inputs, i);
    if (parameter == nullptr)
      return view.error(fmt::format("at most {} inputs", op.inputs.size()), std::to_string(given));
    const Value* input = view.node().input(static_cast<int>(i));
    if (input == nullptr && !parameter->optional)
      return view.error(fmt::format("input {} ({})", i, parameter->name), "none");
    if (input == nullptr) continue;
    const DType dtype = input->type.dtype;
    if (dtype == DType::undefined || (!parameter->types.empty() && !parameter->types.contains(dtype)))
      return view.error(fmt::format("input {} ({}) of type {}", i, parameter->name, names(parameter->types)),
                        fmt::format("{} '{}'", to_string(dtype), input->name));
  }
  return {};
}

Status check_outputs(const NodeView& view, const OpSchema& op, const std::vector<TensorType>& inferred) {
  const size_t given = view.node().outputs().size();
  const bool variadic = !op.outputs.empty() && op.outputs.back().variadic;
  if (given < 1 || given > inferred.size() || (!variadic && given > op.outputs.size()))
    return view.error(fmt::format("1 to {} outputs", std::min(inferred.size(), op.outputs.size())),
                      std::to_string(given));
  for (size_t i = 0; i < given; ++i) {
    const TensorType& type = inferred[i];
    const Parameter* parameter = parameter_at(op.outputs, i);
    if (!parameter->types.empty() && !parameter->types.contains(type.dtype))
      return view.error(fmt::format("output {} of type {}", i, names(parameter->types)),
                        to_string(type.dtype));
    if (type.rank() > kMaxRank)
      return view.error(fmt::format("at most {} dimensions", kMaxRank), std::to_string(type.rank()));
    int64_t bytes = bytes_of(type.dtype);
    for (const Dim& d : type.dims)
      if (d.value > 1 && __builtin_mul_overflow(bytes, d.value, &bytes))
        return view.error("an output whose bytes fit in 63 bits", to_string(type));
    NARROW_DO(check_memory(bytes, view.node().location() + ", output " + to_string(type)));
  }
  return {};
}

}  // namespace

Result<std::vector<TensorType>> inferred_types(const Node& node) {
  const NodeView view(node);
  const OpSchema& op = schema(node.op());
  NARROW_DO(check_inputs(view, op));
  NARROW_TRY(std::vector<TensorType> inferred, op.infer(view));
  NARROW_DO(check_outputs(view, op, inferred));
  inferred.resize(node.outputs().size());
  return inferred;
}

namespace {

/// What the value already knew stays where inference knows nothing: dims out of the model's own annotations,
/// and the Quantization that a pass gave an 8-bit value.
void refine(TensorType& inferred, const TensorType& stored) {
  if (stored.dtype == inferred.dtype && is_int8(stored.dtype) && stored.quant != nullptr)
    inferred.quant = stored.quant;
  if (!stored.ranked) return;
  if (!inferred.ranked) {
    inferred.ranked = true;
    inferred.dims = stored.dims;
    return;
  }
  if (stored.rank() != inferred.rank()) return;
  for (size_t i = 0; i < stored.dims.size(); ++i)
    if (stored.dims[i].known() && inferred.dims[i].known() && stored.dims[i] != inferred.dims[i]) return;
  for (size_t i = 0; i < stored.dims.size(); ++i)
    if (inferred.dims[i] == Dim()) inferred.dims[i] = stored.dims[i];
}

}  // namespace

Status infer_types(Node& node) {
  NARROW_TRY(std::vector<TensorType> inferred, inferred_types(node));
  for (size_t i = 0; i < inferred.size(); ++i) {
    Value* output = node.output(static_cast<int>(i));
    refine(inferred[i], output->type);
    output->type = std::move(inferred[i]);
  }
  return {};
}

Status infer_types(Graph& graph) {
  for (Node* node : graph.nodes()) NARROW_DO(infer_types(*node));
  return {};
}

}  // namespace narrow::ir
