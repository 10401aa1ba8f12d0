#include "runtime/states.h"

#include <algorithm>

namespace narrow::runtime {
namespace {

Error no_such(const std::string& what, const std::string& name) {
  return Error{.code = Code::invalid_data,
               .subject = "states",
               .expected = what + " of the model",
               .got = "'" + name + "'",
               .hint = "`narrow inspect` lists inputs and outputs"};
}

Tensor zeros_of(const ir::TensorType& type) {
  Shape shape;
  for (const ir::Dim& dim : type.dims) shape.push_back(dim.known() ? dim.value : 1);
  return Tensor::zeros(type.dtype, shape);
}

}  // namespace

Result<CarriedStates> CarriedStates::create(const std::map<std::string, std::string>& states,
                                            const ir::Interface& model) {
  CarriedStates carried;
  for (const auto& pair : states) {
    const std::string &input = pair.first, &output = pair.second;
    const auto port = std::find_if(model.inputs.begin(), model.inputs.end(),
                                   [&](const ir::Port& p) { return p.name == input; });
    if (port == model.inputs.end()) return no_such("an input", input);
    const bool given_back = std::any_of(model.outputs.begin(), model.outputs.end(),
                                        [&](const ir::Port& p) { return p.name == output; });
    if (!given_back) return no_such("an output", output);
    carried.values_[input] = zeros_of(port->type);
  }
  carried.output_of_ = states;
  return carried;
}

TensorMap CarriedStates::with(const TensorMap& inputs) const {
  TensorMap all = inputs;
  for (const auto& [name, value] : values_) all[name] = value;
  return all;
}

void CarriedStates::take(const TensorMap& outputs) {
  for (const auto& [input, output] : output_of_)
    if (const auto found = outputs.find(output); found != outputs.end()) values_[input] = found->second;
}

}  // namespace narrow::runtime
