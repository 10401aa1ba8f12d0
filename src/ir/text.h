// The text form (.nir): what print() writes, parse() reads back to an equal graph.
//
// clang-format off
//   graph mobilenet(%input: f32[N,3,224,224]) {
//     meta "opset" = "21"
//     @w: f32[24,3,3,3] = blob 64 2592
//     @lo: f32[] = [0]
//     %y: u8[N,24,112,112]<0.0235,0> = Conv(%input, @w, -) {pads=[1,1,1,1], strides=[2,2]} "conv1" origin "conv1/y"
//     return %y as "logits"
//   }
// clang-format on
//
// Values start with %, constants with @. Names of letters, digits, _ . / : - stand bare (unless they end in
// :), others are written as %"..." with \" \\ \n \xHH. `-` is an absent input. `# ...` is a comment.
//
// Types      f32 unranked, f32[] scalar, f32[N,?,3] a symbol, an unknown and a number; <scale,zero_point> per
// tensor,
//            <axis;s0,s1,...;z0,z1,...> per channel, or <axis;blob offset count> where more than 64 scales
//            stand in the blob and all zero points are 0. A node's output may lack its type: infer_types()
//            finds it.
// Constants  of up to 64 elements stand in the text, larger ones in a blob (offset, bytes); `bits 3` follows
//            where the codes of a type below 8 bits are packed in fewer than it has. `packed 3` is the third
//            (from 0) constant of a .narrow file that is kept as a kernel reads it.
// Attributes 3 is an integer, 3.0 a float, "s" a string, [1,2] [1.0,2.0] ["s"] lists of these, [] no
// integers,
//            floats[] no floats, strings[] no strings, f32[2] [1,2] a tensor, graph name(...) {...} a graph.
// Floats     %.9g (f64: %.17g), inf, -inf, nan; NaNs with another payload as their bits, 0x7fc00001.
// Origins    one per output, - where there is none, each with its permutation: origin "a" [0,2,3,1], -
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ir/graph.h"

namespace narrow::ir {

/// Where constants too large for the text go. Offsets are multiples of 64.
struct Blob {
  std::string bytes;
  /// Constants kept elsewhere, in another form: their numbers by Tensor::identity(). Written as `packed
  /// <number>`.
  std::map<const void*, int64_t> packed;
  /// Offsets by Tensor::identity() and size: what another graph printed into the same blob stands there once.
  std::map<std::pair<const void*, size_t>, size_t> placed;
};

/// What stands behind `packed <number>`; errors as parse()'s.
using PackedSource = std::function<Result<Tensor>(int64_t number, DType dtype, const Shape& shape)>;

/// Where a text says that the bytes of a constant stand.
struct Placement {
  std::string constant;           // empty: scales of a type, a tensor in an attribute
  int64_t offset = 0, bytes = 0;  // in the blob
  int64_t packed = -1;            // or its number elsewhere
};

/// Deterministic. The graph is sorted; constants that nobody reads are left out.
/// Without a blob, large constants are written as `hash <hex>`: readable, not parsable.
std::string print(const Graph& graph, Blob* blob = nullptr);
/// `blob` may be mapped memory: constants borrow it and keep `owner`. Checks the form only; verify() checks
/// the graph. `placements`, where given, are added to. Errors: invalid_model with the line.
Result<Graph> parse(std::string_view text, std::span<const std::byte> blob = {},
                    std::shared_ptr<const void> owner = nullptr, const PackedSource& packed = {},
                    std::vector<Placement>* placements = nullptr);

/// A type alone, with all its scales in the text.
std::string print(const TensorType& type);
/// Errors: invalid_model.
Result<TensorType> parse_type(std::string_view text);

}  // namespace narrow::ir
