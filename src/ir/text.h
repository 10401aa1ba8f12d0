// The text form (.nir): what print() writes, parse() reads back to an equal graph.
//
//   graph mobilenet(%input: f32[N,3,224,224]) {
//     @w: f32[24,3,3,3] = blob 64 2592
//     @lo: f32[] = [0]
//     %y: u8[N,24,112,112]<0.0235,0> = Conv(%input, @w, -) {pads=[1,1,1,1], strides=[2,2]} "conv1" origin "conv1/y"
//     return %y as "logits"
//   }
//
// Values start with %, constants with @; other characters than letters, digits, _ . / : - are written as %"...".
// `-` is an absent input. Constants of up to 64 elements stand in the text, larger ones in a blob (offset, bytes).
// Quantized types carry <scale,zero_point> per tensor or <axis;s0,s1,...;z0,z1,...> per channel, floats as %.9g.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "ir/graph.h"

namespace narrow::ir {

/// Where constants too large for the text go. Offsets are multiples of 64.
struct Blob {
  std::string bytes;
};

/// Without a blob, large constants are written as `hash <hex>`: readable, not parsable.
std::string print(const Graph& graph, Blob* blob = nullptr);
/// `blob` may be mapped memory: constants borrow it and keep `owner`. Errors: invalid_model with the line.
Result<Graph> parse(std::string_view text, std::span<const std::byte> blob = {}, std::shared_ptr<const void> owner = nullptr);

}  // namespace narrow::ir
