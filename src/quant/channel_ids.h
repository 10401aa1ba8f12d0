// Which scale factor belongs to which element of a value: an array of factor numbers that broadcasts over the
// value, and how data movement carries it along.
//
// A value of shape [N,C,H,W] whose channels have factors 3, 4, 5 has dims [1,3,1,1] and ids 3, 4, 5. After a
// Reshape that splits the channels the same numbers lie along two axes; after a Concat along an axis they
// stand behind one another. Factor 0 is the number one: what must not be scaled.
#pragma once

#include <optional>
#include <vector>

#include "ir/graph.h"

namespace narrow::quant {

struct ChannelIds {
  Shape dims;  // per axis of the value: its extent, or 1 where the factor does not depend on the axis
  std::vector<int> ids;  // row-major over dims

  /// The same factor everywhere.
  static ChannelIds uniform(int64_t rank, int id);
  /// ids[i] at index i of `axis`.
  static ChannelIds along(int64_t rank, int64_t axis, std::vector<int> ids);
  int64_t rank() const { return static_cast<int64_t>(dims.size()); }
  bool varies(int64_t axis) const { return dims.at(static_cast<size_t>(axis)) != 1; }
  bool operator==(const ChannelIds&) const = default;
};

/// More elements than this are not followed: the value counts as one that must not be scaled.
constexpr int64_t kMostIds = int64_t{1} << 20;

// Each gives what the result of the movement holds; nothing where that cannot be told (unknown extents, too
// many elements).

/// The ids repeated to `dims`: 1 becomes any extent, others stay.
std::optional<ChannelIds> expanded(const ChannelIds& x, const Shape& dims);
/// perm[i] is the axis of x that becomes axis i.
ChannelIds transposed(const ChannelIds& x, const std::vector<int64_t>& perm);
/// Elements `indices` of an axis along which x varies.
ChannelIds selected(const ChannelIds& x, int64_t axis, const std::vector<int64_t>& indices);
/// Row-major order kept: axes are merged and split as from[] becomes to[]. Extents may be unknown where they
/// are the same on both sides or carry no factors of their own.
std::optional<ChannelIds> reshaped(const ChannelIds& x, const std::vector<ir::Dim>& from,
                                   const std::vector<ir::Dim>& to);
/// One behind the other along `axis`, whose extents are given.
std::optional<ChannelIds> concatenated(const std::vector<ChannelIds>& parts, int64_t axis,
                                       const std::vector<int64_t>& extents);

}  // namespace narrow::quant
