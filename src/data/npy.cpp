#include <fmt/format.h>

#include <charconv>
#include <optional>

#include "data/npz.h"

namespace narrow::data {
namespace {

Error bad_array(const std::string& name, std::string expected, std::string got) {
  return {.code = Code::invalid_data,
          .subject = "array '" + name + "'",
          .expected = std::move(expected),
          .got = std::move(got),
          .hint = "write it again with numpy.save or numpy.savez"};
}

/// The text after `'key':` in the header's dict literal.
std::optional<std::string_view> field(std::string_view header, std::string_view key) {
  const size_t at = header.find(fmt::format("'{}':", key));
  if (at == std::string_view::npos) return std::nullopt;
  std::string_view rest = header.substr(at + key.size() + 3);
  rest.remove_prefix(std::min(rest.find_first_not_of(' '), rest.size()));
  return rest;
}

std::optional<DType> parse_descr(std::string_view text) {
  if (text.size() < 2 || text[0] != '\'') return std::nullopt;
  const std::string_view d = text.substr(1, text.find('\'', 1) - 1);
  // <f1: the one 8-bit float that ml_dtypes gives a name of NumPy's kind.
  static const std::map<std::string_view, DType> names = {
      {"<f4", DType::f32},     {"<f8", DType::f64},   {"<f2", DType::f16}, {"|i1", DType::s8},
      {"|u1", DType::u8},      {"<i2", DType::s16},   {"<u2", DType::u16}, {"<i4", DType::s32},
      {"<u4", DType::u32},     {"<i8", DType::s64},   {"<u8", DType::u64}, {"|b1", DType::boolean},
      {"<b1", DType::boolean}, {"<f1", DType::f8e5m2}};
  const auto it = names.find(d);
  return it == names.end() ? std::nullopt : std::optional(it->second);
}

std::optional<Shape> parse_shape(std::string_view text) {
  if (text.empty() || text[0] != '(') return std::nullopt;
  const size_t end = text.find(')');
  if (end == std::string_view::npos) return std::nullopt;
  Shape shape;
  const char *p = text.data() + 1, *stop = text.data() + end;
  while (p < stop) {
    if (*p == ' ' || *p == ',') {
      ++p;
      continue;
    }
    int64_t value = 0;
    const auto [next, error] = std::from_chars(p, stop, value);
    if (error != std::errc() || value < 0 || shape.size() >= 32) return std::nullopt;
    shape.push_back(value);
    p = next;
  }
  return shape;
}

Tensor from_fortran(const Tensor& columns, const Shape& shape) {
  Tensor out = Tensor::allocate(columns.dtype(), shape);
  const auto size = static_cast<size_t>(bytes_of(columns.dtype()));
  const auto* src = static_cast<const std::byte*>(columns.raw());
  auto* dst = static_cast<std::byte*>(out.mutable_raw());
  const std::vector<int64_t> strides = row_major_strides(shape);
  for (int64_t i = 0; i < out.elements(); ++i) {
    int64_t rest = i, to = 0;
    for (size_t axis = 0; axis < shape.size(); ++axis) {
      to += rest % shape[axis] * strides[axis];
      rest /= shape[axis];
    }
    std::memcpy(dst + static_cast<size_t>(to) * size, src + static_cast<size_t>(i) * size, size);
  }
  return out;
}

}  // namespace

Result<Tensor> parse_npy(std::span<const std::byte> bytes, const std::string& name,
                         std::shared_ptr<const void> owner) {
  const auto* raw = reinterpret_cast<const unsigned char*>(bytes.data());
  if (bytes.size() < 12 || std::memcmp(raw, "\x93NUMPY", 6) != 0)
    return bad_array(name, "a .npy header", "something else");
  const bool wide = raw[6] >= 2;
  const size_t start = wide ? 12 : 10;
  const size_t length = wide ? raw[8] | static_cast<size_t>(raw[9]) << 8 |
                                   static_cast<size_t>(raw[10]) << 16 | static_cast<size_t>(raw[11]) << 24
                             : raw[8] | static_cast<size_t>(raw[9]) << 8;
  if (length > bytes.size() - start)
    return bad_array(name, "a complete .npy header", fmt::format("{} bytes", bytes.size()));
  const std::string_view header(reinterpret_cast<const char*>(raw + start), length);
  const auto descr = field(header, "descr"), order = field(header, "fortran_order"),
             dims = field(header, "shape");
  if (!descr || !order || !dims)
    return bad_array(name, "descr, fortran_order and shape", "an incomplete header");
  const auto type = parse_descr(*descr);
  if (!type)
    return bad_array(name, "a numeric or bool array in little-endian order",
                     std::string(descr->substr(0, descr->find(',', 0))));
  const auto shape = parse_shape(*dims);
  if (!shape) return bad_array(name, "a shape", std::string(dims->substr(0, 40)));
  const auto counted = checked_elements(*shape, bytes_of(*type));
  if (!counted.ok()) return bad_array(name, counted.error().expected, to_string(*shape));
  const int64_t elements = *counted;
  const std::span<const std::byte> payload = bytes.subspan(start + length);
  if (static_cast<uint64_t>(elements * bytes_of(*type)) > payload.size())
    return bad_array(name, fmt::format("{} bytes for {}", elements * bytes_of(*type), to_string(*shape)),
                     fmt::format("{}", payload.size()));
  const bool aligned =
      reinterpret_cast<uintptr_t>(payload.data()) % static_cast<uintptr_t>(bytes_of(*type)) == 0;
  Tensor tensor = Tensor::borrow(*type, *shape, payload.data(), std::move(owner));
  if (*type == DType::boolean)  // any byte but 0 and 1 would be no bool
    tensor = cast(Tensor::borrow(DType::u8, *shape, payload.data(), nullptr), DType::boolean);
  if (order->starts_with("True") && shape->size() > 1)
    return from_fortran(aligned ? tensor : tensor.clone(), *shape);
  return aligned ? tensor : tensor.clone();
}

}  // namespace narrow::data
