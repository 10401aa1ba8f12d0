// Integer convolutions and products, and the ends that all lowered ops share.
#pragma once

#include "passes/quant_view.h"

namespace narrow::passes {

/// Where a float result is stored as integers: the labelled output of the QuantizeLinear that alone reads it
/// (through a clamp that the integer range makes superfluous), and the float value it stands for.
struct Sink {
  Value* quantized;
  Value* real;
};
std::optional<Sink> quantized_sink(const Graph& graph, Value* value);

/// `node`'s op on `inputs` in the place of the sink's value, or of node's own output when there is none.
void put_lowered(Graph& graph, Node* node, std::vector<Value*> inputs, const std::optional<Sink>& sink);

/// FusedConv or FusedMatMul on 8-bit x and constant 8-bit weights. False when it must stay in float: operands
/// that are not quantized so, weights with a zero point, or a bias beyond s32.
bool lower_product(Graph& graph, Node* node);

}  // namespace narrow::passes
