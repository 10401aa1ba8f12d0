// Which weights are a group.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "tensor/tensor.h"

namespace narrow::quant {

/// Weights as [outer, axis, inner] with groups along the axis, or (group size 0) with all of an index of it
/// in one. A group's number is that of its parameters.
class GroupElements {
 public:
  GroupElements(const Shape& shape, int64_t axis, int64_t group_size)
      : outer_(elements_of(Shape(shape.begin(), shape.begin() + axis))),
        extent_(shape[static_cast<size_t>(axis)]),
        inner_(elements_of(Shape(shape.begin() + axis + 1, shape.end()))),
        size_(group_size),
        groups_(group_size == 0 ? extent_ : (extent_ + group_size - 1) / group_size) {}

  int64_t along_axis() const { return groups_; }
  int64_t count() const { return size_ == 0 ? extent_ : outer_ * groups_ * inner_; }

  /// Where the weights of group `group` are, ascending.
  void list(int64_t group, std::vector<size_t>& elements) const {
    elements.clear();
    if (size_ == 0) {
      for (int64_t o = 0; o < outer_; ++o)
        for (int64_t i = 0; i < inner_; ++i)
          elements.push_back(static_cast<size_t>((o * extent_ + group) * inner_ + i));
      return;
    }
    const int64_t first = group / inner_ % groups_ * size_, row = group / inner_ / groups_ * extent_;
    for (int64_t k = first; k < std::min(extent_, first + size_); ++k)
      elements.push_back(static_cast<size_t>((row + k) * inner_ + group % inner_));
  }

  /// That of element `element`.
  int64_t group_of(int64_t element) const {
    const int64_t row = element / inner_;
    if (size_ == 0) return row % extent_;
    return (row / extent_ * groups_ + row % extent_ / size_) * inner_ + element % inner_;
  }

 private:
  int64_t outer_, extent_, inner_, size_, groups_;
};

}  // namespace narrow::quant
