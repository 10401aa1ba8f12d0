#include "kernels/conv/conv.h"

#include <array>

namespace narrow::kernels {

#define NARROW_CONV(candidate) ConvCandidate candidate();
#include "kernels/conv/candidates.inc"
#undef NARROW_CONV

std::span<const ConvCandidate> conv_candidates() {
  static const std::vector<ConvCandidate> table = {
#define NARROW_CONV(candidate) candidate(),
#include "kernels/conv/candidates.inc"
#undef NARROW_CONV
  };
  return table;
}

}  // namespace narrow::kernels
