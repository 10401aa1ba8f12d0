#include "onnx/graph_types.h"

#include <cctype>

#include "ir/onnx_types.h"
#include "onnx/tensors.h"

namespace narrow::onnx {

std::string Symbols::plain(const std::string& dim_param) {
  auto [it, is_new] = known_.try_emplace(dim_param);
  if (!is_new) return it->second;
  std::string base;
  for (const char c : dim_param) base += std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
  if (std::isalpha(static_cast<unsigned char>(base.front())) == 0) base.insert(0, "d");
  it->second = base;
  for (int64_t i = 1; !taken_.insert(it->second).second; ++i) it->second = base + "_" + std::to_string(i);
  return it->second;
}

Result<ir::TensorType> read_type(const pb::ValueInfoProto& info, const std::string& subject,
                                 Symbols& symbols) {
  const pb::TypeProto& type = info.type();
  if (type.value_case() == pb::TypeProto::VALUE_NOT_SET)
    return Error{
        .code = Code::invalid_model, .subject = subject, .expected = "a tensor type", .got = "no type"};
  if (!type.has_tensor_type())
    return Error{.code = Code::unsupported,
                 .subject = subject,
                 .expected = "a dense tensor",
                 .got = "a sequence, map, optional or sparse tensor"};
  const auto dtype = ir::dtype_of_onnx(type.tensor_type().elem_type());
  if (!dtype)
    return Error{.code = Code::unsupported,
                 .subject = subject,
                 .expected = "float, double, float16, bfloat16, bool or an 8- to 64-bit integer type",
                 .got = element_type_name(type.tensor_type().elem_type())};
  ir::TensorType result = ir::TensorType::unranked(*dtype);
  result.ranked = type.tensor_type().has_shape();
  for (const auto& dim : type.tensor_type().shape().dim()) {
    ir::Dim& to = result.dims.emplace_back();
    if (dim.has_dim_value() && dim.dim_value() > 0) to.value = dim.dim_value();
    if (dim.has_dim_param() && !dim.dim_param().empty()) to.symbol = symbols.plain(dim.dim_param());
  }
  return result;
}

void write_type(const ir::TensorType& type, const std::string& name, pb::ValueInfoProto* info) {
  info->set_name(name);
  auto* tensor = info->mutable_type()->mutable_tensor_type();
  tensor->set_elem_type(static_cast<int32_t>(ir::onnx_of_dtype(type.dtype)));
  if (!type.ranked) return;
  auto* shape = tensor->mutable_shape();
  for (const ir::Dim& dim : type.dims) {
    auto* to = shape->add_dim();
    if (dim.known())
      to->set_dim_value(dim.value);
    else if (!dim.symbol.empty())
      to->set_dim_param(dim.symbol);
  }
}

}  // namespace narrow::onnx
