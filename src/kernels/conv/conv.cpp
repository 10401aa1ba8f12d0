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

const ConvCandidate* find_conv_candidate(std::string_view name) {
  for (const ConvCandidate& candidate : conv_candidates())
    if (candidate.name == name) return &candidate;
  return nullptr;
}

}  // namespace narrow::kernels
