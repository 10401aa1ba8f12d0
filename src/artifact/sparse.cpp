#include "artifact/sparse.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "base/aligned.h"
#include "numerics/packing.h"
#include "tensor/packing.h"

namespace narrow::artifact {
namespace {

constexpr std::array<uint8_t, 6> kPairs = {0b0011, 0b0101, 0b0110, 0b1001, 0b1010, 0b1100};
constexpr int kPairBits = 3;
/// Runs are powers of two up to this.
constexpr int64_t kLongestRun = 64;

/// A tensor as lines about an axis.
struct Lines {
  int64_t outer, extent, inner, run, runs_per_line;

  Lines(const Shape& shape, const SparseForm& form)
      : outer(elements_of(Shape(shape.begin(), shape.begin() + form.axis))),
        extent(shape[static_cast<size_t>(form.axis)]),
        inner(elements_of(Shape(shape.begin() + form.axis + 1, shape.end()))),
        run(form.run),
        runs_per_line((extent + form.run - 1) / form.run) {}

  int64_t runs() const { return outer * inner * runs_per_line; }
  int64_t length(int64_t in_line) const { return std::min(run, extent - in_line * run); }

  /// visit(number of the run, its first element, its elements); they lie `inner` apart.
  template <class Visit>
  void for_runs(Visit visit) const {
    int64_t number = 0;
    for (int64_t o = 0; o < outer; ++o)
      for (int64_t i = 0; i < inner; ++i)
        for (int64_t r = 0; r < runs_per_line; ++r)
          visit(number++, (o * extent + r * run) * inner + i, length(r));
  }
};

/// The tensor if all of it were zero.
Tensor background(DType dtype, const Shape& shape, const SparseFill* fill) {
  Tensor zero = Tensor::zeros(dtype, shape);
  if (fill == nullptr) return zero;
  const auto* points = static_cast<const std::byte*>(fill->zero_point.raw());
  auto* out = static_cast<std::byte*>(zero.mutable_raw());
  const int64_t count = fill->zero_point.elements();
  const Lines lines(shape, {.axis = fill->axis, .run = 1});
  const int64_t groups = fill->block > 0 ? (lines.extent + fill->block - 1) / fill->block : 0;
  for (int64_t o = 0; o < lines.outer; ++o)
    for (int64_t at = 0; at < lines.extent; ++at, out += lines.inner) {
      if (count == 1 || groups == 0)
        std::fill_n(out, lines.inner, points[count == 1 ? 0 : at]);
      else
        std::copy_n(points + (o * groups + at / fill->block) * lines.inner, lines.inner, out);
    }
  return zero;
}

/// Zero points that background() can read.
bool fits(const SparseFill& fill, DType dtype, const Shape& shape) {
  const auto rank = static_cast<int64_t>(shape.size());
  if (fill.zero_point.dtype() != dtype || bytes_of(dtype) != 1 || fill.axis < 0 || fill.axis >= rank ||
      fill.block < 0)
    return false;
  if (fill.zero_point.elements() == 1) return true;
  const int64_t extent = shape[static_cast<size_t>(fill.axis)];
  if (fill.block == 0) return fill.zero_point.elements() == extent;
  Shape wanted = shape;
  wanted[static_cast<size_t>(fill.axis)] = (extent + fill.block - 1) / fill.block;
  return fill.zero_point.elements() == elements_of(wanted);
}

/// One byte for each element: 1 where it is not zero.
std::vector<uint8_t> present_in(const Tensor& tensor, const SparseFill* fill) {
  const Tensor zero = background(tensor.dtype(), tensor.shape(), fill);
  const auto size = static_cast<size_t>(bytes_of(tensor.dtype()));
  const auto *a = static_cast<const std::byte*>(tensor.raw()), *b = static_cast<const std::byte*>(zero.raw());
  std::vector<uint8_t> present(static_cast<size_t>(tensor.elements()));
  for (size_t i = 0; i < present.size(); ++i)
    present[i] = std::memcmp(a + i * size, b + i * size, size) != 0 ? 1 : 0;
  return present;
}

/// One byte for each run.
std::vector<uint8_t> runs_in(const std::vector<uint8_t>& present, const Lines& lines) {
  std::vector<uint8_t> mask(static_cast<size_t>(lines.runs()), 0);
  lines.for_runs([&](int64_t number, int64_t first, int64_t length) {
    for (int64_t e = 0; e < length; ++e)
      mask[static_cast<size_t>(number)] |= present[static_cast<size_t>(first + e * lines.inner)];
  });
  return mask;
}

/// Adds runs until two of each four are kept; false where more are.
bool make_pairs(std::vector<uint8_t>& mask) {
  if (mask.size() % 4 != 0) return false;
  for (size_t i = 0; i < mask.size(); i += 4) {
    int there = mask[i] + mask[i + 1] + mask[i + 2] + mask[i + 3];
    if (there > 2) return false;
    for (size_t k = i; k < i + 4 && there < 2; ++k)
      if (mask[k] == 0) mask[k] = 1, ++there;
  }
  return true;
}

std::string pack_bytes(std::span<const uint8_t> codes, int bits) {
  std::string packed(static_cast<size_t>(packed_bytes(static_cast<int64_t>(codes.size()), bits)), '\0');
  pack_bits(codes, bits, {reinterpret_cast<uint8_t*>(packed.data()), packed.size()});
  return packed;
}

std::string store_mask(const std::vector<uint8_t>& mask, const SparseForm& form) {
  if (!form.two_of_four) return pack_bytes(mask, 1);
  std::vector<uint8_t> pairs;
  for (size_t i = 0; i < mask.size(); i += 4) {
    const auto four = static_cast<uint8_t>(mask[i] | mask[i + 1] << 1 | mask[i + 2] << 2 | mask[i + 3] << 3);
    pairs.push_back(static_cast<uint8_t>(std::find(kPairs.begin(), kPairs.end(), four) - kPairs.begin()));
  }
  return pack_bytes(pairs, kPairBits);
}

int64_t mask_bytes(int64_t runs, const SparseForm& form) {
  return form.two_of_four ? packed_bytes(runs / 4, kPairBits) : packed_bytes(runs, 1);
}

int64_t kept_in(const std::vector<uint8_t>& mask, const Lines& lines) {
  int64_t count = 0;
  for (size_t r = 0; r < mask.size(); ++r)
    if (mask[r] != 0) count += lines.length(static_cast<int64_t>(r) % lines.runs_per_line);
  return count;
}

/// As many bits as elements of the type have, or as narrow integers use.
std::string pack_elements(const Tensor& tensor, int bits) {
  return is_narrow_integer(tensor.dtype()) ? pack_into(tensor, bits) : pack(tensor);
}
Tensor unpack_elements(DType dtype, const Shape& shape, const std::byte* stored, int bits) {
  return bits < bits_of(dtype) ? unpack_from(dtype, shape, stored, bits) : unpack(dtype, shape, stored);
}

/// The elements of kept runs, one after the other.
Tensor gather(const Tensor& tensor, const Lines& lines, const std::vector<uint8_t>& mask) {
  const auto size = static_cast<size_t>(bytes_of(tensor.dtype()));
  Tensor kept = Tensor::allocate(tensor.dtype(), {kept_in(mask, lines)});
  const auto* from = static_cast<const std::byte*>(tensor.raw());
  auto* to = static_cast<std::byte*>(kept.mutable_raw());
  lines.for_runs([&](int64_t number, int64_t first, int64_t length) {
    if (mask[static_cast<size_t>(number)] == 0) return;
    for (int64_t e = 0; e < length; ++e, to += size)
      std::memcpy(to, from + static_cast<size_t>(first + e * lines.inner) * size, size);
  });
  return kept;
}

}  // namespace

bool can_be_sparse(DType dtype) {
  if (is_narrow_integer(dtype)) return true;
  switch (dtype) {
    case DType::s8:
    case DType::u8:
    case DType::s32:
    case DType::f16:
    case DType::bf16:
    case DType::f32:
      return true;
    default:
      return false;
  }
}

std::optional<SparseConstant> make_sparse(const Tensor& tensor, const SparseFill* fill) {
  const int bits = bits_used(tensor);
  const Packing packing = packing_of(tensor);
  const int64_t all = packing == Packing::bits ? packed_bytes(tensor.elements(), bits)
                                               : unit_bytes(tensor.elements(), packing);
  if (fill != nullptr && !fits(*fill, tensor.dtype(), tensor.shape())) fill = nullptr;
  const std::vector<uint8_t> present = present_in(tensor, fill);
  const auto zeros = std::count(present.begin(), present.end(), 0);
  if (tensor.rank() == 0 || zeros * bits * 8 < tensor.elements() * bits) return std::nullopt;
  std::optional<SparseForm> best;
  int64_t least = all - all / 8;
  for (int64_t axis = 0; axis < tensor.rank(); ++axis)
    for (int64_t run = 1; run <= kLongestRun; run *= 2)
      for (const bool pairs : {false, true}) {
        const SparseForm form{axis, run, pairs};
        const Lines lines(tensor.shape(), form);
        std::vector<uint8_t> mask = runs_in(present, lines);
        if (pairs && !make_pairs(mask)) continue;
        const int64_t bytes = mask_bytes(lines.runs(), form) + packed_bytes(kept_in(mask, lines), bits);
        if (bytes <= least) least = bytes - 1, best = form;
      }
  if (!best) return std::nullopt;
  const Lines lines(tensor.shape(), *best);
  std::vector<uint8_t> mask = runs_in(present, lines);
  if (best->two_of_four) make_pairs(mask);
  return SparseConstant{
      tensor.dtype(), tensor.shape(),          bits,
      *best,          store_mask(mask, *best), pack_elements(gather(tensor, lines, mask), bits)};
}

std::optional<SparseFill> fill_of(const ir::Value& value) {
  for (const ir::Use& use : value.uses()) {
    const ir::Node& node = *use.node;
    if (node.op() != ir::Op::DequantizeLinear || use.index != 0) continue;
    const ir::Value* zero = node.input(2);
    if (zero == nullptr || !zero->is_constant()) return std::nullopt;
    const auto rank = value.constant().rank();
    const int64_t axis = node.int_attr("axis", 1);
    SparseFill fill{zero->constant(), axis < 0 ? axis + rank : axis, node.int_attr("block_size", 0)};
    if (fill.zero_point.elements() == 1) fill.axis = 0;
    if (!fits(fill, value.constant().dtype(), value.constant().shape())) return std::nullopt;
    const auto* points = static_cast<const std::byte*>(fill.zero_point.raw());
    const auto is_zero = [](std::byte point) { return point == std::byte{0}; };
    if (std::all_of(points, points + fill.zero_point.elements(), is_zero)) return std::nullopt;
    return fill;
  }
  return std::nullopt;
}

namespace {

int64_t put(std::string_view bytes, ir::Blob& blob) {
  blob.bytes.resize(static_cast<size_t>(round_up(static_cast<int64_t>(blob.bytes.size()), kCacheLine)));
  const auto offset = static_cast<int64_t>(blob.bytes.size());
  blob.bytes.append(bytes);
  return offset;
}

Json fill_json(const SparseFill& fill, ir::Blob& blob) {
  const int bits = bits_used(fill.zero_point);
  const std::string bytes = pack_elements(fill.zero_point, bits);
  const auto key = std::pair(fill.zero_point.identity(), bytes.size());
  auto placed = blob.placed.find(key);
  if (placed == blob.placed.end())
    placed = blob.placed.emplace(key, static_cast<size_t>(put(bytes, blob))).first;
  return {{"offset", placed->second},
          {"shape", fill.zero_point.shape()},
          {"bits", bits},
          {"axis", fill.axis},
          {"block", fill.block}};
}

}  // namespace

Json append_sparse(const SparseConstant& constant, const SparseFill* fill, ir::Blob& blob) {
  Json json = {{"sparse", constant.form.two_of_four ? "two of four" : "mask"},
               {"dtype", to_string(constant.dtype)},
               {"shape", constant.shape},
               {"bits", constant.bits},
               {"axis", constant.form.axis},
               {"run", constant.form.run}};
  if (fill != nullptr) json["fill"] = fill_json(*fill, blob);
  json["mask"] = put(constant.mask, blob);
  json["kept"] = put(constant.kept, blob);
  return json;
}

bool is_sparse(const Json& json) { return json.is_object() && json.contains("sparse"); }

namespace {

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
