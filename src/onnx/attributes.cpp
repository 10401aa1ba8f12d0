#include "onnx/attributes.h"

#include <fmt/format.h>

#include "onnx/tensors.h"

namespace narrow::onnx {
namespace {

using Type = pb::AttributeProto;

/// Files of the first IR versions leave the discriminator out: the field in use tells.
Type::AttributeType type_of(const pb::AttributeProto& proto) {
  if (proto.type() != Type::UNDEFINED) return proto.type();
  if (proto.has_f()) return Type::FLOAT;
  if (proto.has_i()) return Type::INT;
  if (proto.has_s()) return Type::STRING;
  if (proto.has_t()) return Type::TENSOR;
  if (proto.has_g()) return Type::GRAPH;
  if (proto.floats_size() > 0) return Type::FLOATS;
  if (proto.ints_size() > 0) return Type::INTS;
  if (proto.strings_size() > 0) return Type::STRINGS;
  return Type::UNDEFINED;
}

}  // namespace

Result<ir::Attribute> read_attribute(const pb::AttributeProto& proto, const std::string& subject,
                                     ExternalFiles& files) {
  const Type::AttributeType type = type_of(proto);
  switch (type) {
    case Type::FLOAT:
      return ir::Attribute(proto.f());
    case Type::INT:
      return ir::Attribute(proto.i());
    case Type::STRING:
      return ir::Attribute(proto.s());
    case Type::FLOATS:
      return ir::Attribute(std::vector<float>(proto.floats().begin(), proto.floats().end()));
    case Type::INTS:
      return ir::Attribute(std::vector<int64_t>(proto.ints().begin(), proto.ints().end()));
    case Type::STRINGS:
      return ir::Attribute(std::vector<std::string>(proto.strings().begin(), proto.strings().end()));
    case Type::TENSOR: {
      NARROW_TRY(Tensor tensor,
                 read_tensor(proto.t(), fmt::format("{}, attribute '{}'", subject, proto.name()), files));
      return ir::Attribute(std::move(tensor));
    }
    default:
      break;
  }
  const bool empty = type == Type::UNDEFINED;
  return Error{.code = empty ? Code::invalid_model : Code::unsupported,
               .subject = fmt::format("{}, attribute '{}'", subject, proto.name()),
               .expected = "a number, a string, a list of them, or a dense tensor",
               .got = empty ? "no value" : Type::AttributeType_Name(type)};
}

Status write_attribute(const ir::Attribute& attribute, const std::string& name, const std::string& subject,
                       pb::AttributeProto* proto) {
  proto->set_name(name);
  if (const auto* i = std::get_if<int64_t>(&attribute)) {
    proto->set_type(Type::INT);
    proto->set_i(*i);
  } else if (const auto* f = std::get_if<float>(&attribute)) {
    proto->set_type(Type::FLOAT);
    proto->set_f(*f);
  } else if (const auto* s = std::get_if<std::string>(&attribute)) {
    proto->set_type(Type::STRING);
    proto->set_s(*s);
  } else if (const auto* ints = std::get_if<std::vector<int64_t>>(&attribute)) {
    proto->set_type(Type::INTS);
    proto->mutable_ints()->Add(ints->begin(), ints->end());
  } else if (const auto* floats = std::get_if<std::vector<float>>(&attribute)) {
    proto->set_type(Type::FLOATS);
    proto->mutable_floats()->Add(floats->begin(), floats->end());
  } else if (const auto* strings = std::get_if<std::vector<std::string>>(&attribute)) {
    proto->set_type(Type::STRINGS);
    for (const std::string& text : *strings) proto->add_strings(text);
  } else if (const auto* tensor = std::get_if<Tensor>(&attribute)) {
    proto->set_type(Type::TENSOR);
    write_tensor(*tensor, "", proto->mutable_t());
  } else {
    return Error{.code = Code::unsupported,
                 .subject = fmt::format("{}, attribute '{}'", subject, name),
                 .expected = "a number, a string, a list of them, or a tensor",
                 .got = "a graph"};
  }
  return {};
}

}  // namespace narrow::onnx
