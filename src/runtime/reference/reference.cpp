#include "runtime/reference/reference.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "runtime/reference/functions.h"
#include "runtime/reference/quantized.h"

namespace narrow::runtime::reference {

const Entry& entry(ir::Op op) {
  static const std::map<ir::Op, Entry> table = {
#define NARROW_REFERENCE(name, function, kind, required) {ir::Op::name, {function, Kind::kind, required}},
#include "runtime/reference/functions.inc"
#undef NARROW_REFERENCE
  };
  static const Entry none;
  const auto it = table.find(op);
  return it == table.end() ? none : it->second;
}

bool supports(ir::Op op) { return entry(op).function != nullptr; }

namespace {

const Quantization* quantization(const ir::Value* value) {
  return value == nullptr ? nullptr : value->type.quant.get();
}

/// All quantized values of the node, in and out, share one scale and zero point, and no float takes part:
/// integers can be moved and compared as they lie.
bool quantized_alike(const ir::Node& node, Inputs inputs) {
  const Quantization* out = quantization(node.output());
  if (out == nullptr || !out->per_tensor()) return false;
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (inputs[i] == nullptr) continue;
    const Quantization* q = quantization(node.input(static_cast<int>(i)));
    if (q != nullptr ? *q != *out || inputs[i]->dtype() != node.output()->type.dtype
                     : is_float(inputs[i]->dtype()))
      return false;
  }
  return true;
}

/// A call under way: the inputs as the function sees them, and what owns those that were converted.
struct Call {
  const ir::Node& node;
  const Entry& op;
  std::vector<const Tensor*> inputs;
  std::vector<Tensor> owned;
  DType first = DType::undefined;  // type of input 0 before widening
  bool integers = false;           // quantized values pass as they lie

  void replace(size_t i, Tensor t) {
    owned.push_back(std::move(t));
    inputs[i] = &owned.back();
  }
};

Status dequantize_inputs(Call& call) {
  call.integers =
      call.op.kind == Kind::own || ((call.op.kind == Kind::moves || call.op.kind == Kind::orders) &&
                                    quantized_alike(call.node, call.inputs));
  if (call.integers) return {};
  for (size_t i = 0; i < call.inputs.size(); ++i) {
    const Quantization* q = quantization(call.node.input(static_cast<int>(i)));
    if (q == nullptr || call.inputs[i] == nullptr) continue;
    NARROW_TRY(Tensor real, dequantize_value(call.node, *call.inputs[i], *q));
    call.replace(i, std::move(real));
  }
  return {};
}

/// Float inputs of a computing op get one type: f64 when one of them has it, else f32.
Status widen_inputs(Call& call) {
  if (!call.inputs.empty() && call.inputs[0] != nullptr) call.first = call.inputs[0]->dtype();
  if (call.op.kind != Kind::floats && call.op.kind != Kind::numbers && call.op.kind != Kind::orders)
    return {};
  if (call.op.kind == Kind::floats && !is_float(call.first)) return wrong_type(call.node, call.first);
  DType common = DType::f32;
  for (const Tensor* t : call.inputs)
    if (t != nullptr && t->dtype() == DType::f64) common = DType::f64;
  for (size_t i = 0; i < call.inputs.size(); ++i) {
    const Tensor* t = call.inputs[i];
    if (t == nullptr || !is_float(t->dtype()) || t->dtype() == common) continue;
    NARROW_DO(make_tensor(call.node, common, t->shape()));
    call.replace(i, cast(*t, common));
  }
  return {};
}

/// The type output i is stored in: as inferred, as the attribute out_dtype says, or that of input 0 (the
/// statistics of LayerNormalization stay f32).
DType stored_type(const Call& call, size_t i, DType computed) {
  const DType inferred = call.node.output(static_cast<int>(i))->type.dtype;
  if (inferred != DType::undefined) return inferred;
  if (const auto stated = parse_dtype(call.node.string_attr("out_dtype", "")); stated && i == 0)
    return *stated;
  const bool statistics = call.node.op() == ir::Op::LayerNormalization && i > 0;
  const bool widened =
      call.op.kind == Kind::floats || call.op.kind == Kind::numbers || call.op.kind == Kind::orders;
  return widened && !statistics && is_float(call.first) ? call.first : computed;
}

Status finish_outputs(const Call& call, std::vector<Tensor>& outputs) {
  if (outputs.size() < call.node.outputs().size())
    return unsupported(call.node, fmt::format("at most {} outputs", outputs.size()),
                       std::to_string(call.node.outputs().size()));
  outputs.resize(call.node.outputs().size());
  if (call.op.kind == Kind::own) return {};
  for (size_t i = 0; i < outputs.size(); ++i) {
    const ir::Value* value = call.node.output(static_cast<int>(i));
    if (const Quantization* q = quantization(value); q != nullptr && is_float(outputs[i].dtype())) {
      NARROW_TRY(outputs[i], quantize_value(call.node, outputs[i], *q, value->type.dtype));
      continue;
    }
    const DType type = stored_type(call, i, outputs[i].dtype());
    if (is_float(outputs[i].dtype()) && is_float(type)) outputs[i] = cast(outputs[i], type);
  }
  return {};
}

/// Ops that know [n, c, spatial...] run on a permuted copy when the data lies [n, spatial..., c].
bool runs_channels_first(const ir::Node& node) {
  return node.int_attr("channels_last", 0) != 0 && node.op() != ir::Op::Resize &&
         node.op() != ir::Op::FusedConv;
}

Outputs call_function(Call& call) {
  if (!runs_channels_first(call.node)) return call.op.function(call.node, call.inputs);
  const int64_t rank = call.inputs[0]->rank();
  if (rank < 3) return invalid(call.node, "[n, spatial..., c]", to_string(call.inputs[0]->shape()));
  if (call.node.outputs().size() > 1) return unsupported(call.node, "one output with channels_last", "more");
  std::vector<int64_t> to_first = {0, rank - 1}, to_last = {0};
  for (int64_t i = 1; i < rank - 1; ++i) to_first.push_back(i), to_last.push_back(i + 1);
  to_last.push_back(1);
  NARROW_TRY(Tensor x, permute(call.node, *call.inputs[0], to_first));
  call.replace(0, std::move(x));
  NARROW_TRY(std::vector<Tensor> outputs, call.op.function(call.node, call.inputs));
  NARROW_TRY(outputs[0], permute(call.node, outputs[0], to_last));
  outputs.resize(1);
  return outputs;
}

}  // namespace

Outputs evaluate(const ir::Node& node, Inputs inputs) {
  const Entry& op = entry(node.op());
  if (op.function == nullptr) return unsupported(node, "an op the reference has", ir::to_string(node.op()));
  if (node.outputs().empty()) return invalid(node, "an output", "none");
  for (int i = 0; i < op.required; ++i)
    if (optional_input(inputs, static_cast<size_t>(i)) == nullptr)
      return invalid(node, fmt::format("{} inputs", op.required), fmt::format("input {} absent", i));
  for (const Tensor* t : inputs)
    if (t != nullptr && !t->defined()) return invalid(node, "defined inputs", "a tensor without a type");
  Call call{.node = node, .op = op, .inputs = {inputs.begin(), inputs.end()}, .owned = {}};
  call.owned.reserve(3 * inputs.size() + 3);  // pointers into it stay valid
  NARROW_DO(dequantize_inputs(call));
  NARROW_DO(widen_inputs(call));
  NARROW_TRY(std::vector<Tensor> outputs, call_function(call));
  NARROW_DO(finish_outputs(call, outputs));
  return outputs;
}

namespace {

Status check_input(const ir::Value* value, const Tensor& tensor) {
  const ir::TensorType& type = value->type;
  bool fits = (type.dtype == DType::undefined || type.dtype == tensor.dtype()) &&
              (!type.ranked || type.rank() == tensor.rank());
  for (int64_t d = 0; fits && type.ranked && d < type.rank(); ++d)
    fits = !type.dims[static_cast<size_t>(d)].known() ||
           type.dims[static_cast<size_t>(d)].value == tensor.dim(d);
  if (fits) return {};
  return Error{.code = Code::invalid_data,
               .subject = "input '" + value->name + "'",
               .expected = ir::to_string(type),
               .got = to_string(tensor.dtype()) + to_string(tensor.shape())};
}

using Values = std::map<const ir::Value*, Tensor>;

Result<Values> bind_inputs(const ir::Graph& graph, const TensorMap& inputs) {
  Values values;
  for (const ir::Value* value : graph.inputs()) {
    const auto it = inputs.find(value->name);
    if (it == inputs.end())
      return Error{.code = Code::invalid_data,
                   .subject = "input '" + value->name + "'",
                   .expected = "a tensor",
                   .got = "none"};
    NARROW_DO(check_input(value, it->second));
    values[value] = it->second;
  }
  return values;
}

/// How many times each value is still read: by nodes, and by the graph's outputs.
std::map<const ir::Value*, int64_t> count_readers(const ir::Graph& graph) {
  std::map<const ir::Value*, int64_t> readers;
  for (const ir::Node* node : graph.nodes())
    for (const ir::Value* input : node->inputs()) ++readers[input];
  for (const ir::GraphOutput& output : graph.outputs()) ++readers[output.value];
  return readers;
}

Status run_node(const ir::Node& node, Values& values) {
  std::vector<const Tensor*> inputs;
  for (const ir::Value* input : node.inputs()) {
    const auto it = values.find(input);
    if (input != nullptr && !input->is_constant() && it == values.end())
      return invalid(node, "inputs computed before", input->name);
    inputs.push_back(input == nullptr ? nullptr : input->is_constant() ? &input->constant() : &it->second);
  }
  NARROW_TRY(std::vector<Tensor> outputs, evaluate(node, inputs));
  for (size_t i = 0; i < outputs.size(); ++i) values[node.outputs()[i]] = std::move(outputs[i]);
  return {};
}

}  // namespace

Result<TensorMap> run(const ir::Graph& graph, const TensorMap& inputs) {
  NARROW_TRY(Values values, bind_inputs(graph, inputs));
  std::map<const ir::Value*, int64_t> readers = count_readers(graph);
  for (const ir::Node* node : graph.nodes()) {
    NARROW_DO(run_node(*node, values));
    for (const ir::Value* input : node->inputs())
      if (--readers[input] == 0) values.erase(input);
    for (const ir::Value* output : node->outputs())
      if (readers[output] == 0) values.erase(output);
  }
  TensorMap results;
  for (const ir::GraphOutput& output : graph.outputs()) {
    const auto it = values.find(output.value);
    if (it == values.end() && !output.value->is_constant())
      return Error{.code = Code::invalid_data,
                   .subject = "output '" + output.name + "'",
                   .expected = "a computed value",
                   .got = output.value->name};
    results[output.name] = output.value->is_constant() ? output.value->constant() : it->second;
  }
  return results;
}

}  // namespace narrow::runtime::reference
