// Quantized values as the passes see them: what a QuantizeLinear or DequantizeLinear says, and the integer
// behind a float.
//
// An 8-bit value that stands for real numbers carries their Quantization in its type (it is labelled).
// Labelled values only meet nodes that honour the label.
#pragma once

#include "passes/match.h"

namespace narrow::passes {

/// The key and value of graph metadata by which a quantizer says that activations between integers may be
/// computed by parabolas (kernels/byte_function.h). Where nobody says so they are those of the floats around
/// them, rounded.
inline constexpr const char *kActivationsKey = "narrow.activations", *kParabolas = "parabolas";

/// Scales and zero points of a QuantizeLinear or DequantizeLinear node when they are constant, finite and
/// positive, and not blocked; the axis is normalized, -1 for one scale.
/// Constants may have scale 0 where asked for: they are 0 there, whatever their codes.
enum class ZeroScales : uint8_t { refused, allowed };
std::optional<Quantization> linear_parameters(const Node* node, ZeroScales zeros = ZeroScales::refused);
/// The same for nodes with one scale on u8 or s8.
std::optional<Quantization> per_tensor_parameters(const Node* node);

/// Labels what QuantizeLinear makes, and 8-bit graph inputs read by nothing but equal DequantizeLinear nodes.
/// Values that some node reads as plain integers stay plain. Returns how many.
Result<int64_t> label_quantized(Graph& graph);

/// Moves elements and changes none (on one data input): what does not care whether they are quantized.
bool is_movement(const Node* node);

/// MaxPool or GlobalMaxPool with one result: scales are positive, so maxima of codes are codes of maxima.
bool is_maximum(const Node* node);

/// Ops that compute on real numbers and read and store them in any format (floats, quantized integers): how
/// many of the first inputs may differ in format from the result, -1 for all, 0 for ops that are not such.
int format_free_inputs(const Node* node);

/// The DequantizeLinear that makes `value` out of a labelled value with the same parameters, or out of an
/// 8-bit constant.
Node* dequantize_behind(const Value* value);
/// dequantize->input(0), labelled: a constant becomes a labelled constant of its own.
Value* labelled_operand(Graph& graph, const Node* dequantize);

}  // namespace narrow::passes
