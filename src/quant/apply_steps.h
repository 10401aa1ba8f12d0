// The steps of apply(), one per kind of format; each rewrites its own nodes of one graph.
#pragma once

#include <optional>

#include "ir/graph.h"
#include "quant/recipe.h"

namespace narrow::quant {

using ir::Graph;
using ir::Node;
using ir::Op;
using ir::Value;

// ---------------------------------------------------------------- what they share

NodeFormat format_of(const Recipe& recipe, const ir::Node& node);
/// DequantizeLinear of `codes`: the scales of `quant` and, for 8-bit codes, its zero points as constants.
ir::Value* add_dequantize(ir::Graph& graph, ir::Value* codes, const Quantization& quant, DType zero_type,
                          const std::string& name);
/// The bias of a heavy node with its correction: nothing when it has neither, or is not a plain vector.
std::optional<Tensor> corrected_bias(const Recipe& recipe, const ir::Node& node, int64_t channels);

/// The s8 codes of a node of `recipe.weights`: those chosen for it, or the nearest.
Tensor weight_codes(const Recipe& recipe, const Node& node);
/// The nearest s8 codes with the scales `recipe` has; finds the steps of weights in 4 bits.
Tensor nearest_codes(const Node& node, Recipe& recipe);

// ---------------------------------------------------------------- the steps

/// int8: Q and DQ around stored values, codes for weights and biases.
void apply_int8(ir::Graph& graph, const Recipe& recipe);
/// Large tables: rows are taken from the codes and dequantized afterwards.
void apply_tables(ir::Graph& graph, const Recipe& recipe);
/// int8-dynamic: each row of the data divided by its own scale, quantized, multiplied, scaled back.
void apply_dynamic(ir::Graph& graph, const Recipe& recipe);
/// Weight-only: blocked DequantizeLinear before the weights' reader, and what adds the weights apart.
void apply_groups(ir::Graph& graph, const Recipe& recipe);
/// Corrected FP32 biases of nodes that keep theirs in FP32: bf16, fp16 and weight-only.
void apply_bias_corrections(ir::Graph& graph, const Recipe& recipe);
/// bf16 and fp16: types, casts at the borders. Wants inferred types.
void apply_half(ir::Graph& graph, const Recipe& recipe);

}  // namespace narrow::quant
