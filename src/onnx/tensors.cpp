#include "onnx/tensors.h"

#include <fmt/format.h>

#include <charconv>
#include <type_traits>

#include "ir/onnx_types.h"
#include "tensor/packing.h"

namespace narrow::onnx {
namespace {

struct Description {
  const std::string& subject;
  DType dtype;
  Shape shape;
  int64_t elements;
  int64_t bytes;
};

Error size_error(const Description& d, const char* where, const char* unit, int64_t expected, int64_t got) {
  return Error{.code = Code::invalid_model,
               .subject = d.subject,
               .expected = fmt::format("{} {} in {} for {}{}", expected, unit, where, to_string(d.dtype),
                                       to_string(d.shape)),
               .got = std::to_string(got),
               .hint = "the file may be damaged; export the model again"};
}

/// `d.bytes` readable bytes at `source`, which need not be aligned.
Tensor copy_raw(const Description& d, const void* source) {
  if (is_narrow(d.dtype)) return unpack(d.dtype, d.shape, source);
  Tensor tensor = Tensor::allocate(d.dtype, d.shape);
  if (d.bytes == 0) return tensor;
  if (d.dtype == DType::boolean) {  // any byte but 0 and 1 would be no bool
    const auto* from = static_cast<const uint8_t*>(source);
    for (bool& b : tensor.mutable_data<bool>()) b = *from++ != 0;
  } else {
    std::memcpy(tensor.mutable_raw(), source, static_cast<size_t>(d.bytes));
  }
  return tensor;
}

/// One element out of a typed field, whose own type is wider: int32_data holds INT8, FLOAT16 (as bits), BOOL,
/// ...
template <class To, class From>
bool narrow_into(From from, To& to) {
  if constexpr (std::is_same_v<To, bf16> || std::is_same_v<To, f16>) {
    to = To::from_bits(static_cast<uint16_t>(from));
    return from >= 0 && from <= 0xffff;
  } else if constexpr (std::is_same_v<To, bool>) {
    to = from != 0;
    return true;
  } else {
    to = static_cast<To>(from);
    if constexpr (std::is_floating_point_v<To>) return true;
    return static_cast<From>(to) == from;
  }
}

template <class To, class Field>
Result<Tensor> copy_field(const Description& d, const char* field_name, const Field& field) {
  if (field.size() != d.elements) return size_error(d, field_name, "elements", d.elements, field.size());
  Tensor tensor = Tensor::allocate(d.dtype, d.shape);
  const std::span<To> to = tensor.mutable_data<To>();
  for (int i = 0; i < field.size(); ++i)
    if (!narrow_into(field.Get(i), to[static_cast<size_t>(i)]))
      return Error{.code = Code::invalid_model,
                   .subject = d.subject,
                   .expected = fmt::format("values that fit {}", to_string(d.dtype)),
                   .got = fmt::format("{} at index {}", field.Get(i), i)};
  return tensor;
}

/// int32_data holds a byte of raw_data per entry: an 8-bit float, two 4-bit codes, four 2-bit ones.
Result<Tensor> copy_packed(const Description& d, const pb::TensorProto& proto) {
  const auto& field = proto.int32_data();
  if (field.size() != d.bytes) return size_error(d, "int32_data", "elements", d.bytes, field.size());
  std::string bytes;
  for (const int32_t entry : field) {
    if (entry < -128 || entry > 255)
      return Error{.code = Code::invalid_model,
                   .subject = d.subject,
                   .expected = fmt::format("bytes of {} in int32_data", to_string(d.dtype)),
                   .got = fmt::format("{} at index {}", entry, bytes.size())};
    bytes.push_back(static_cast<char>(entry));
  }
  return unpack(d.dtype, d.shape, bytes.data());
}

Result<Tensor> read_fields(const pb::TensorProto& proto, const Description& d) {
  if (is_narrow(d.dtype)) return copy_packed(d, proto);
  switch (d.dtype) {
    case DType::f32:
      return copy_field<float>(d, "float_data", proto.float_data());
    case DType::f64:
      return copy_field<double>(d, "double_data", proto.double_data());
    case DType::f16:
      return copy_field<f16>(d, "int32_data", proto.int32_data());
    case DType::bf16:
      return copy_field<bf16>(d, "int32_data", proto.int32_data());
    case DType::s8:
      return copy_field<int8_t>(d, "int32_data", proto.int32_data());
    case DType::u8:
      return copy_field<uint8_t>(d, "int32_data", proto.int32_data());
    case DType::s16:
      return copy_field<int16_t>(d, "int32_data", proto.int32_data());
    case DType::u16:
      return copy_field<uint16_t>(d, "int32_data", proto.int32_data());
    case DType::s32:
      return copy_field<int32_t>(d, "int32_data", proto.int32_data());
    case DType::boolean:
      return copy_field<bool>(d, "int32_data", proto.int32_data());
    case DType::s64:
      return copy_field<int64_t>(d, "int64_data", proto.int64_data());
    case DType::u32:
      return copy_field<uint32_t>(d, "uint64_data", proto.uint64_data());
    case DType::u64:
      return copy_field<uint64_t>(d, "uint64_data", proto.uint64_data());
    default:
      break;
  }
  return Error{.code = Code::unsupported, .subject = d.subject, .expected = "a defined element type"};
}

struct ExternalRange {
  std::string location;
  int64_t offset = 0;
  int64_t length = -1;  // absent
};

Result<ExternalRange> external_range(const pb::TensorProto& proto, const Description& d) {
  ExternalRange range;
  for (const auto& entry : proto.external_data()) {
    if (entry.key() == "location") range.location = entry.value();
    if (entry.key() != "offset" && entry.key() != "length") continue;
    int64_t number = -1;
    const std::string& text = entry.value();
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || end != text.data() + text.size() || number < 0)
      return Error{.code = Code::invalid_model,
                   .subject = d.subject,
                   .expected = fmt::format("external data {} >= 0", entry.key()),
                   .got = "'" + text + "'"};
    (entry.key() == "offset" ? range.offset : range.length) = number;
  }
  return range;
}

Result<Tensor> read_external(const pb::TensorProto& proto, const Description& d, ExternalFiles& files) {
  NARROW_TRY(const ExternalRange range, external_range(proto, d));
  if (range.length >= 0 && range.length != d.bytes)
    return size_error(d, "external data", "bytes", d.bytes, range.length);
  NARROW_TRY(const auto file, files.open(range.location));
  const auto size = static_cast<int64_t>(file->bytes().size());
  if (range.offset > size || d.bytes > size - range.offset)
    return Error{
        .code = Code::invalid_model,
        .subject = d.subject,
        .expected = fmt::format("{} bytes at offset {} of '{}'", d.bytes, range.offset, range.location),
        .got = fmt::format("a file of {} bytes", size),
        .hint = "the data file may be cut short or belong to another model"};
  const std::byte* source = file->bytes().data() + range.offset;
  const bool aligned = range.offset % bytes_of(d.dtype) == 0;
  if (!aligned || d.bytes == 0 || d.dtype == DType::boolean || is_narrow(d.dtype)) return copy_raw(d, source);
  return Tensor::borrow(d.dtype, d.shape, source, file);
}

}  // namespace

std::string element_type_name(int64_t code) {
  const bool in_range = code >= 0 && code <= pb::TensorProto::DataType_MAX;
  const std::string name =
      in_range ? pb::TensorProto::DataType_Name(static_cast<pb::TensorProto::DataType>(code)) : "";
  return name.empty() ? "element type " + std::to_string(code) : name;
}

Result<Tensor> read_tensor(const pb::TensorProto& proto, const std::string& subject, ExternalFiles& files) {
  const std::optional<DType> dtype = ir::dtype_of_onnx(proto.data_type());
  if (!dtype)
    return Error{.code = Code::unsupported,
                 .subject = subject,
                 .expected = "a float type of 4 to 64 bits, bool or an integer type of 2 to 64 bits",
                 .got = element_type_name(proto.data_type())};
  if (proto.has_segment())
    return Error{
        .code = Code::unsupported, .subject = subject, .expected = "a whole tensor", .got = "a segment"};
  Shape shape(proto.dims().begin(), proto.dims().end());
  Result<int64_t> elements = checked_elements(shape, bytes_of(*dtype));
  if (!elements.ok()) {
    Error error = std::move(elements).error();
    error.code = Code::invalid_model;
    error.subject = subject + ", " + error.subject;
    return error;
  }
  const Description d{subject, *dtype, std::move(shape), *elements, stored_bytes(*dtype, *elements)};
  if (proto.data_location() == pb::TensorProto::EXTERNAL) return read_external(proto, d, files);
  if (!proto.has_raw_data()) return read_fields(proto, d);
  const auto got = static_cast<int64_t>(proto.raw_data().size());
  if (got != d.bytes) return size_error(d, "raw_data", "bytes", d.bytes, got);
  return copy_raw(d, proto.raw_data().data());
}

void write_tensor(const Tensor& tensor, const std::string& name, pb::TensorProto* proto) {
  for (const int64_t d : tensor.shape()) proto->add_dims(d);
  proto->set_data_type(static_cast<int32_t>(ir::onnx_of_dtype(tensor.dtype())));
  if (!name.empty()) proto->set_name(name);
  if (is_narrow(tensor.dtype()))
    proto->set_raw_data(pack(tensor));
  else
    proto->set_raw_data(tensor.raw(), static_cast<size_t>(tensor.bytes()));
}

}  // namespace narrow::onnx
