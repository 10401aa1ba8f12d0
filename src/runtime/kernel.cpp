#include "runtime/kernel.h"

#include "runtime/lower/lower.h"
#include "runtime/reference/reference.h"

namespace narrow::runtime {

kernels::TensorQuant tensor_quant(const ir::TensorType& type) {
  if (!type.quant || !type.quant->per_tensor()) return {};
  return {type.quant->scale.at(0), type.quant->zero_point.at(0)};
}

bool has_float_result(const ir::Node& node) {
  for (const ir::Value* input : node.inputs())
    if (input != nullptr && is_int8(input->type.dtype)) return false;
  return true;
}

bool read_activation(const ir::Node& node, kernels::Activation& activation) {
  const std::string name = node.string_attr("activation", "none");
  activation.alpha = node.float_attr("alpha", 0);
  activation.beta = node.float_attr("beta", 0);
  for (int kind = 0; kind <= static_cast<int>(kernels::Act::mish); ++kind)
    if (name == kernels::to_string(static_cast<kernels::Act>(kind))) {
      activation.kind = static_cast<kernels::Act>(kind);
      return true;
    }
  return false;
}

const std::vector<Implementation>& implementations(ir::Op op) {
  static const std::map<ir::Op, std::vector<Implementation>> table = [] {
    std::map<ir::Op, std::vector<Implementation>> lists;
    lower::add_convolutions(lists);
    lower::add_fused_products(lists);
    lower::add_products(lists);
    lower::add_elementwise(lists);
    lower::add_pools(lists);
    lower::add_norms(lists);
    lower::add_reductions(lists);
    lower::add_conversions(lists);
    lower::add_movement(lists);
    lower::add_attention(lists);
    lower::add_recurrent(lists);
    lower::add_reference(lists);
    return lists;
  }();
  static const std::vector<Implementation> none;
  const auto it = table.find(op);
  return it == table.end() ? none : it->second;
}

}  // namespace narrow::runtime
