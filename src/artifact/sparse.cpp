#include "artifact/sparse.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "artifact/sparse_layout.h"
#include "base/aligned.h"
#include "numerics/packing.h"
#include "tensor/packing.h"

namespace narrow::artifact {
namespace {

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

/// As many bits as elements of the type have, or as narrow integers use.
std::string pack_elements(const Tensor& tensor, int bits) {
  return is_narrow_integer(tensor.dtype()) ? pack_into(tensor, bits) : pack(tensor);
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

}  // namespace narrow::artifact
