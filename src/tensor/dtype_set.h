// A set of element types in one word.
#pragma once

#include <bit>
#include <cstdint>
#include <initializer_list>
#include <vector>

#include "tensor/dtype.h"

namespace narrow {

class DTypeSet {
 public:
  constexpr DTypeSet() = default;
  constexpr DTypeSet(std::initializer_list<DType> types) {
    for (const DType type : types) bits_ |= bit(type);
  }
  constexpr bool contains(DType type) const { return (bits_ & bit(type)) != 0; }
  constexpr bool empty() const { return bits_ == 0; }
  constexpr int size() const { return std::popcount(bits_); }
  constexpr DTypeSet with(DTypeSet more) const {
    more.bits_ |= bits_;
    return more;
  }
  /// In the order of DType.
  std::vector<DType> list() const {
    std::vector<DType> types;
    for (uint32_t left = bits_; left != 0; left &= left - 1)
      types.push_back(static_cast<DType>(std::countr_zero(left)));
    return types;
  }

 private:
  static constexpr uint32_t bit(DType type) { return uint32_t{1} << static_cast<uint32_t>(type); }
  uint32_t bits_ = 0;
};

}  // namespace narrow
