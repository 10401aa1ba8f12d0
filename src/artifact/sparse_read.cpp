#include <fmt/format.h>

#include <bit>
#include <cstring>

#include "artifact/sparse_layout.h"
#include "numerics/packing.h"
#include "tensor/packing.h"

namespace narrow::artifact {

bool is_sparse(const Json& json) { return json.is_object() && json.contains("sparse"); }

namespace {

Tensor unpack_elements(DType dtype, const Shape& shape, const std::byte* stored, int bits) {
  return bits < bits_of(dtype) ? unpack_from(dtype, shape, stored, bits) : unpack(dtype, shape, stored);
}

/// What the header says of a constant, checked.
class Description {
 public:
  Description(const Json& json, std::span<const std::byte> blob, const std::string& subject)
      : json_(json), blob_(blob), subject_(subject) {}

  Status read() {
    NARROW_DO(read_type());
    NARROW_DO(read_form());
    const Lines lines(shape, form);
    if (form.two_of_four && lines.runs() % 4 != 0)
      return wrong("runs in fours", fmt::format("{} of them", lines.runs()));
    places.mask_bytes = mask_bytes(lines.runs(), form);
    NARROW_TRY(places.mask_offset, place("mask", json_, places.mask_bytes));
    NARROW_DO(read_mask(lines));
    places.kept_bytes = packed_bytes(kept_in(mask, lines), bits);
    NARROW_TRY(places.kept_offset, place("kept", json_, places.kept_bytes));
    return read_fill();
  }

  DType dtype = DType::undefined;
  Shape shape;
  int bits = 0;
  SparseForm form;
  SparsePlaces places;
  std::vector<uint8_t> mask;  // one byte for each run
  std::optional<SparseFill> fill;

 private:
  Error wrong(std::string expected, std::string got) const {
    return Error{Code::invalid_model, subject_, std::move(expected), std::move(got),
                 "the file is damaged; build it again"};
  }

  /// -1 where there is none.
  static int64_t number(const Json& json, const char* key) {
    const bool there = json.contains(key) && json[key].is_number_unsigned();
    return there && json[key].get<uint64_t>() < uint64_t{1} << 62 ? json[key].get<int64_t>() : -1;
  }
  static std::string text(const Json& json, const char* key) {
    return json.contains(key) && json[key].is_string() ? json[key].get<std::string>() : "";
  }

  Result<Shape> read_shape(const Json& json) const {
    Shape found;
    const Json dims = json.contains("shape") && json["shape"].is_array() ? json["shape"] : Json::array();
    for (const Json& dim : dims) found.push_back(dim.is_number_unsigned() ? dim.get<int64_t>() : -1);
    const Result<int64_t> count = checked_elements(found, 1);
    if (!count.ok()) return wrong(count.error().expected, to_string(found));
    // A bit stands for at most kLongestRun elements.
    if (*count / (8 * kLongestRun) > static_cast<int64_t>(blob_.size()))
      return wrong(fmt::format("a constant within a blob of {} bytes", blob_.size()), to_string(found));
    return found;
  }

  Result<int> read_bits(const Json& json) const {
    const int64_t found = number(json, "bits");
    const int most = bits_of(dtype);
    if (found < 1 || found > most || (found != most && !is_narrow_integer(dtype)))
      return wrong(fmt::format("bits of an element of {}", to_string(dtype)), std::to_string(found));
    return static_cast<int>(found);
  }

  Status read_type() {
    const auto named = parse_dtype(text(json_, "dtype"));
    if (!named || !can_be_sparse(*named)) return wrong("a type of sparse constants", text(json_, "dtype"));
    dtype = *named;
    NARROW_TRY(shape, read_shape(json_));
    NARROW_TRY(bits, read_bits(json_));
    return {};
  }

  Status read_form() {
    const std::string kind = text(json_, "sparse");
    form = {number(json_, "axis"), number(json_, "run"), kind == "two of four"};
    if (!form.two_of_four && kind != "mask") return wrong("'mask' or 'two of four'", kind);
    if (form.axis < 0 || form.axis >= static_cast<int64_t>(shape.size()))
      return wrong("an axis of " + to_string(shape), std::to_string(form.axis));
    if (form.run < 1 || form.run > kLongestRun)
      return wrong(fmt::format("runs of 1 to {}", kLongestRun), std::to_string(form.run));
    return {};
  }

  Result<int64_t> place(const char* key, const Json& json, int64_t bytes) const {
    const int64_t offset = number(json, key), size = static_cast<int64_t>(blob_.size());
    if (offset < 0 || offset % kCacheLine != 0 || offset > size || bytes > size - offset)
      return wrong(fmt::format("{} bytes of '{}' at a multiple of {} inside the blob of {}", bytes, key,
                               kCacheLine, size),
                   std::to_string(offset));
    return offset;
  }

  Status read_mask(const Lines& lines) {
    const std::span stored(reinterpret_cast<const uint8_t*>(blob_.data()) + places.mask_offset,
                           static_cast<size_t>(places.mask_bytes));
    mask.resize(static_cast<size_t>(lines.runs()));
    if (!form.two_of_four) {
      unpack_bits(stored, 1, mask);
      return {};
    }
    std::vector<uint8_t> pairs(mask.size() / 4);
    unpack_bits(stored, kPairBits, pairs);
    for (size_t i = 0; i < pairs.size(); ++i) {
      if (pairs[i] >= kPairs.size()) return wrong("numbers of pairs below 6", std::to_string(pairs[i]));
      for (size_t k = 0; k < 4; ++k) mask[4 * i + k] = kPairs.at(pairs[i]) >> k & 1;
    }
    return {};
  }

  Status read_fill() {
    if (!json_.contains("fill")) return {};
    const Json& json = json_["fill"];
    if (!json.is_object()) return wrong("zero points", "none");
    NARROW_TRY(const Shape found, read_shape(json));
    NARROW_TRY(const int width, read_bits(json));
    NARROW_TRY(const int64_t offset, place("offset", json, packed_bytes(elements_of(found), width)));
    fill = SparseFill{unpack_elements(dtype, found, blob_.data() + offset, width), number(json, "axis"),
                      number(json, "block")};
    if (!fits(*fill, dtype, shape)) return wrong("zero points of " + to_string(shape), to_string(found));
    return {};
  }

  const Json& json_;
  std::span<const std::byte> blob_;
  const std::string& subject_;
};

}  // namespace

Result<SparsePlaces> places_of(const Json& json, std::span<const std::byte> blob,
                               const std::string& subject) {
  Description found(json, blob, subject);
  NARROW_DO(found.read());
  return found.places;
}

Result<Tensor> read_sparse(const Json& json, std::span<const std::byte> blob, const std::string& subject) {
  Description found(json, blob, subject);
  NARROW_DO(found.read());
  const Lines lines(found.shape, found.form);
  const Tensor kept = unpack_elements(found.dtype, {kept_in(found.mask, lines)},
                                      blob.data() + found.places.kept_offset, found.bits);
  Tensor tensor = background(found.dtype, found.shape, found.fill ? &*found.fill : nullptr);
  const auto size = static_cast<size_t>(bytes_of(found.dtype));
  const auto* from = static_cast<const std::byte*>(kept.raw());
  auto* to = static_cast<std::byte*>(tensor.mutable_raw());
  lines.for_runs([&](int64_t number, int64_t first, int64_t length) {
    if (found.mask[static_cast<size_t>(number)] == 0) return;
    for (int64_t e = 0; e < length; ++e, from += size)
      std::memcpy(to + static_cast<size_t>(first + e * lines.inner) * size, from, size);
  });
  return tensor;
}

}  // namespace narrow::artifact
