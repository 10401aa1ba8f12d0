#include "artifact/packed.h"

#include <fmt/format.h>

#include <array>
#include <cstring>
#include <limits>

namespace narrow::artifact {
namespace {

using kernels::ConvShape;
using kernels::ConvSpec;

Error damaged(const std::string& subject, std::string expected, std::string got) {
  return Error{Code::invalid_model, subject, std::move(expected), std::move(got),
               "the file is damaged; build it again"};
}

/// The dimensions a file names, in its order.
std::array<int64_t*, 7> dims_of(ConvShape& s) {
  return {&s.oc, &s.c, &s.kh, &s.kw, &s.groups, &s.dilation_h, &s.dilation_w};
}

int64_t elements_of(const ConvShape& s) { return s.oc * (s.c / s.groups) * s.kh * s.kw; }

/// Positive, dividing, and few enough that no size computed from them overflows.
bool is_sane(const ConvShape& s) {
  constexpr int64_t kMost = int64_t{1} << 40;
  int64_t product = 1;
  for (const int64_t d : {s.oc, s.c, s.kh, s.kw}) {
    if (d < 1 || d > kMost / product) return false;
    product *= d;
  }
  return s.groups >= 1 && s.c % s.groups == 0 && s.oc % s.groups == 0 && s.dilation_h >= 1 &&
         s.dilation_w >= 1 && s.dilation_h <= kMost && s.dilation_w <= kMost;
}

/// [rows][columns] of elements of `size` bytes -> [columns][rows].
void transpose(const std::byte* src, int64_t rows, int64_t columns, int64_t size, std::byte* dst) {
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < columns; ++c)
      std::memcpy(dst + (c * rows + r) * size, src + (r * columns + c) * size, static_cast<size_t>(size));
}

Result<AlignedBuffer> part_from_json(const Json& json, int64_t wanted, std::span<const std::byte> blob,
                                     const std::shared_ptr<const void>& owner, const std::string& subject) {
  const auto size = static_cast<int64_t>(blob.size());
  const int64_t offset = json.is_number_unsigned() ? json.get<int64_t>() : -1;
  if (offset < 0 || offset % kCacheLine != 0 || offset > size || wanted > size - offset)
    return damaged(
        subject, fmt::format("{} bytes at a multiple of {} inside the blob of {}", wanted, kCacheLine, size),
        json.dump());
  return AlignedBuffer::borrow(blob.data() + offset, wanted, owner);
}

}  // namespace

bool packs_alike(const ConvSpec& a, const ConvSpec& b) {
  ConvShape x = a.shape, y = b.shape;
  const auto p = dims_of(x), q = dims_of(y);
  for (size_t i = 0; i < p.size(); ++i)
    if (*p.at(i) != *q.at(i)) return false;
  return a.weights == b.weights;
}

void unpack_constant(const PackedConstant& packed, std::byte* out) {
  const kernels::ConvCandidate* candidate = kernels::find_conv_candidate(packed.kernel);
  NARROW_CHECK(candidate != nullptr && candidate->storage.unpack != nullptr);
  if (!packed.transposed) return candidate->storage.unpack(packed.spec, packed.parts, out);
  const int64_t size = bytes_of(packed.spec.weights);
  AlignedBuffer ordered(elements_of(packed.spec.shape) * size);
  candidate->storage.unpack(packed.spec, packed.parts, ordered.data());
  transpose(ordered.data(), packed.spec.shape.oc, packed.spec.shape.c, size, out);
}

Json to_json(const PackedConstant& packed, std::span<const int64_t> offsets) {
  ConvShape shape = packed.spec.shape;
  Json dims = Json::array(), parts = Json::array();
  for (const int64_t* dim : dims_of(shape)) dims.push_back(*dim);
  for (const int64_t offset : offsets) parts.push_back(offset);
  Json json = {
      {"kernel", packed.kernel}, {"dtype", to_string(packed.spec.weights)}, {"dims", dims}, {"parts", parts}};
  if (packed.transposed) json["transposed"] = true;
  return json;
}

Result<PackedConstant> packed_from_json(const Json& json, std::span<const std::byte> blob,
                                        const std::shared_ptr<const void>& owner,
                                        const std::string& subject) {
  const auto text = [&](const char* key) {
    return json.is_object() && json.contains(key) && json[key].is_string() ? json[key].get<std::string>()
                                                                           : "";
  };
  const auto list = [&](const char* key) {
    return json.is_object() && json.contains(key) && json[key].is_array() ? json[key] : Json::array();
  };
  PackedConstant packed;
  packed.kernel = text("kernel");
  packed.transposed = json.is_object() && json.contains("transposed");
  const auto dtype = parse_dtype(text("dtype"));
  const kernels::ConvCandidate* candidate = kernels::find_conv_candidate(packed.kernel);
  if (candidate == nullptr || candidate->storage.sizes == nullptr || !dtype)
    return damaged(subject, "packed weights of a kernel that can read them back",
                   fmt::format("'{}' of '{}'", text("kernel"), text("dtype")));
  packed.spec.weights = *dtype;
  const Json dims = list("dims"), parts = list("parts");
  const auto targets = dims_of(packed.spec.shape);
  for (size_t i = 0; i < targets.size(); ++i)
    *targets.at(i) = i < dims.size() && dims[i].is_number_unsigned() ? dims[i].get<int64_t>() : -1;
  if (!is_sane(packed.spec.shape) || dims.size() != targets.size() ||
      !candidate->storage.refuses(packed.spec).empty() ||
      (packed.transposed && packed.spec.shape.kh * packed.spec.shape.kw * packed.spec.shape.groups != 1))
    return damaged(subject, "dimensions that kernel packs", dims.dump());
  if (elements_of(packed.spec.shape) > static_cast<int64_t>(blob.size()))
    return damaged(subject, fmt::format("weights within a blob of {} bytes", blob.size()), dims.dump());
  const std::vector<int64_t> sizes = candidate->storage.sizes(packed.spec);
  if (parts.size() != sizes.size())
    return damaged(subject, fmt::format("{} parts", sizes.size()), std::to_string(parts.size()));
  for (size_t i = 0; i < sizes.size(); ++i) {
    NARROW_TRY(AlignedBuffer part, part_from_json(parts[i], sizes[i], blob, owner, subject));
    packed.parts.push_back(std::move(part));
  }
  return packed;
}

Tensor deferred_constant(const PackedConstant& packed) {
  const ConvShape& s = packed.spec.shape;
  const Shape shape = packed.transposed ? Shape{s.c, s.oc} : Shape{s.oc, s.c / s.groups, s.kh, s.kw};
  PackedConstant source{{}, packed.kernel, packed.spec, packed.transposed, {}};
  for (const AlignedBuffer& part : packed.parts) source.parts.push_back(part.share());
  auto shared = std::make_shared<const PackedConstant>(std::move(source));
  return Tensor::deferred(packed.spec.weights, shape,
                          [shared](std::byte* out) { unpack_constant(*shared, out); });
}

}  // namespace narrow::artifact
