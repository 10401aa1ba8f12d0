#include "quant/channel_ids.h"

#include <algorithm>
#include <numeric>

namespace narrow::quant {
namespace {

/// Row-major strides with 0 where the extent is 1: reading repeats along those axes.
std::vector<int64_t> broadcast_strides(const Shape& dims) {
  std::vector<int64_t> strides = row_major_strides(dims);
  for (size_t i = 0; i < dims.size(); ++i)
    if (dims[i] == 1) strides[i] = 0;
  return strides;
}

/// ids[sum_i index_i * strides_i] for every index of `dims`.
std::vector<int> gathered(const std::vector<int>& ids, const Shape& dims,
                          const std::vector<int64_t>& strides) {
  std::vector<int> out(static_cast<size_t>(elements_of(dims)));
  std::vector<int64_t> index(dims.size(), 0);
  int64_t offset = 0;
  for (int& id : out) {
    id = ids[static_cast<size_t>(offset)];
    for (size_t a = dims.size(); a-- > 0;) {
      offset += strides[a];
      if (++index[a] < dims[a]) break;
      offset -= strides[a] * dims[a];
      index[a] = 0;
    }
  }
  return out;
}

/// Axes [from_begin, from_end) of the old shape become [to_begin, to_end) of the new one.
struct Block {
  size_t from_begin, from_end, to_begin, to_end;
};

bool same_extent(const ir::Dim& a, const ir::Dim& b) { return a == b && (a.known() || !a.symbol.empty()); }

/// Cuts both shapes, from their ends, into blocks of equal products. What is left in front lies in the last
/// block when an unknown extent stops the search.
std::vector<Block> blocks_of(const std::vector<ir::Dim>& from, const std::vector<ir::Dim>& to,
                             bool& complete) {
  std::vector<Block> blocks;
  size_t i = from.size(), j = to.size();
  complete = false;
  while (i > 0 || j > 0) {
    Block block{i, i, j, j};
    if (i > 0 && j > 0 && same_extent(from[i - 1], to[j - 1])) {
      block.from_begin = --i, block.to_begin = --j;
    } else if (i > 0 && from[i - 1].value == 1) {
      block.from_begin = --i;
    } else if (j > 0 && to[j - 1].value == 1) {
      block.to_begin = --j;
    } else {
      int64_t left = 1, right = 1;
      do {
        const bool grow_left = left <= right;
        size_t& k = grow_left ? i : j;
        const std::vector<ir::Dim>& dims = grow_left ? from : to;
        if (k == 0 || dims[k - 1].value <= 0)
          return blocks.push_back({0, block.from_end, 0, block.to_end}), blocks;
        (grow_left ? left : right) *= dims[--k].value;
      } while (left != right);
      block.from_begin = i, block.to_begin = j;
    }
    blocks.push_back(block);
  }
  complete = true;
  return blocks;
}

}  // namespace

ChannelIds ChannelIds::uniform(int64_t rank, int id) { return {Shape(static_cast<size_t>(rank), 1), {id}}; }

ChannelIds ChannelIds::along(int64_t rank, int64_t axis, std::vector<int> ids) {
  ChannelIds x{Shape(static_cast<size_t>(rank), 1), std::move(ids)};
  x.dims.at(static_cast<size_t>(axis)) = static_cast<int64_t>(x.ids.size());
  return x;
}

std::optional<ChannelIds> expanded(const ChannelIds& x, const Shape& dims) {
  if (x.dims == dims) return x;
  const auto elements = checked_elements(dims, 1);
  if (!elements.ok() || *elements > kMostIds) return std::nullopt;
  return ChannelIds{dims, gathered(x.ids, dims, broadcast_strides(x.dims))};
}

ChannelIds transposed(const ChannelIds& x, const std::vector<int64_t>& perm) {
  const std::vector<int64_t> strides = broadcast_strides(x.dims);
  Shape dims;
  std::vector<int64_t> moved;
  for (const int64_t axis : perm) {
    dims.push_back(x.dims.at(static_cast<size_t>(axis)));
    moved.push_back(strides.at(static_cast<size_t>(axis)));
  }
  return {dims, gathered(x.ids, dims, moved)};
}

ChannelIds selected(const ChannelIds& x, int64_t axis, const std::vector<int64_t>& indices) {
  const auto a = static_cast<size_t>(axis);
  const int64_t inner =
                    std::accumulate(x.dims.begin() + axis + 1, x.dims.end(), int64_t{1}, std::multiplies<>()),
                outer = static_cast<int64_t>(x.ids.size()) / (inner * x.dims.at(a));
  ChannelIds out{x.dims, {}};
  out.dims[a] = static_cast<int64_t>(indices.size());
  for (int64_t o = 0; o < outer; ++o)
    for (const int64_t index : indices) {
      const auto* row = x.ids.data() + (o * x.dims[a] + index) * inner;
      out.ids.insert(out.ids.end(), row, row + inner);
    }
  return out;
}

std::optional<ChannelIds> reshaped(const ChannelIds& x, const std::vector<ir::Dim>& from,
                                   const std::vector<ir::Dim>& to) {
  bool complete = false;
  const std::vector<Block> blocks = blocks_of(from, to, complete);
  Shape full = x.dims, dims(to.size(), 1);
  for (size_t b = 0; b < blocks.size(); ++b) {
    const Block& block = blocks[b];
    const bool varies =
        std::any_of(x.dims.begin() + static_cast<int64_t>(block.from_begin),
                    x.dims.begin() + static_cast<int64_t>(block.from_end), [](int64_t d) { return d != 1; });
    if (!varies) continue;
    if (!complete && b + 1 == blocks.size()) return std::nullopt;  // the block that unknown extents closed
    for (size_t i = block.from_begin; i < block.from_end; ++i) full[i] = from[i].value;
    for (size_t j = block.to_begin; j < block.to_end; ++j) dims[j] = to[j].value;
  }
  auto all = expanded(x, full);
  if (all) all->dims = dims;
  return all;
}

std::optional<ChannelIds> concatenated(const std::vector<ChannelIds>& parts, int64_t axis,
                                       const std::vector<int64_t>& extents) {
  const auto a = static_cast<size_t>(axis);
  if (!parts[0].varies(axis) &&
      std::all_of(parts.begin(), parts.end(), [&](const auto& p) { return p == parts[0]; }))
    return parts[0];
  Shape dims(parts[0].dims.size(), 1);
  for (const ChannelIds& part : parts)
    for (size_t i = 0; i < dims.size(); ++i) dims[i] = std::max(dims[i], part.dims[i]);
  dims[a] = 0;
  for (const int64_t extent : extents) {
    if (extent < 0) return std::nullopt;
    dims[a] += extent;
  }
  const auto elements = checked_elements(dims, 1);
  if (!elements.ok() || *elements > kMostIds) return std::nullopt;
  int64_t outer = 1;
  for (size_t i = 0; i < a; ++i) outer *= dims[i];
  std::vector<ChannelIds> wide;
  for (size_t p = 0; p < parts.size(); ++p) {
    Shape shape = dims;
    shape[a] = extents[p];
    auto part = expanded(parts[p], shape);
    if (!part) return std::nullopt;
    wide.push_back(std::move(*part));
  }
  ChannelIds out{dims, {}};
  for (int64_t o = 0; o < outer; ++o)
    for (const ChannelIds& part : wide) {
      const int64_t n = static_cast<int64_t>(part.ids.size()) / outer;
      out.ids.insert(out.ids.end(), part.ids.begin() + o * n, part.ids.begin() + (o + 1) * n);
    }
  return out;
}

}  // namespace narrow::quant
