// How the channels of a value that a build rescaled relate to those of the original: y = factor * x + shift.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "tensor/tensor.h"

namespace narrow::verify {

/// Per channel along `axis`.
struct ChannelMap {
  int64_t axis = 0;
  std::vector<double> factor, shift;

  Tensor apply(const Tensor& x) const;  // f32
};

/// Least squares over all that is added.
class ChannelFit {
 public:
  /// f32 of one shape, what was added before had the same channels.
  void add(const Tensor& x, const Tensor& y);
  /// Along axis 1 or the last one, whichever explains y better. None where more than a tenth of y's power is
  /// left unexplained: channels were mixed, and no map of each of them says how.
  std::optional<ChannelMap> solve() const;

 private:
  struct Sums {
    double n = 0, x = 0, y = 0, xx = 0, xy = 0, yy = 0;
  };
  struct Candidate {
    int64_t axis = -1;
    std::vector<Sums> channels;
  };
  std::array<Candidate, 2> candidates_;
};

}  // namespace narrow::verify
