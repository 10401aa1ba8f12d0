// A small network with what walks over layers must get right.
#pragma once

#include <string>

namespace narrow::quant {

/// Two layers that read one value, a residual past a third, which a fourth reads: %i is before the last
/// layer, which `tail` adds with the weights @w5 and the bias @b.
inline std::string residual_network(const std::string& tail) {
  return R"(graph g(%x: f32[N,4,8,8]) {
  @w1: f32[6,4,3,3] = blob 0 864
  @w2: f32[6,6,1,1] = blob 1024 144
  @w3: f32[6,6,1,1] = blob 2048 144
  @w4: f32[6,6,3,3] = blob 3072 1296
  @w5: f32[6,6,1,1] = blob 6144 144
  @b: f32[6] = blob 5120 24
  %a = Conv(%x, @w1, @b) {pads=[1,1,1,1]}
  %r = Relu(%a)
  %c = Conv(%r, @w2, @b)
  %d = Conv(%r, @w3, @b)
  %e = Add(%c, %d)
  %f = Relu(%e)
  %g = Conv(%f, @w4, @b) {pads=[1,1,1,1]}
  %h = Add(%g, %r)
  %i = Relu(%h)
)" + tail +
         "  return %y as \"y\"\n}";
}

/// A code of positions, as many as the batch has images, goes through a convolution and is added.
inline constexpr const char* kCodeOfPositions = R"(graph g(%x: f32[N,4,3,3]) {
  @w: f32[4,4,1,1] = blob 4096 64
  @first: s64[1] = [0]
  @image: s64[3] = [4,3,3]
  @one: f32[] = [1]
  @axis: s64[] = [2]
  %a = Conv(%x, @w)
  %shape = Shape(%a)
  %batch = Gather(%shape, @first) {axis=0}
  %extents = Concat(%batch, @image) {axis=0}
  %ones = Expand(@one, %extents)
  %rows = CumSum(%ones, @axis)
  %code = Conv(%rows, @w)
  %s = Add(%a, %code)
  %y = Conv(%s, @w)
  return %y as "y"
}
)";

}  // namespace narrow::quant
