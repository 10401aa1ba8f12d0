// Each function adds its family's implementations to the table, best first. The order of the calls in
// kernel.cpp is the order of preference between families; the reference backend comes last.
#pragma once

#include <map>
#include <vector>

#include "runtime/kernel.h"

namespace narrow::runtime::lower {

using Table = std::map<ir::Op, std::vector<Implementation>>;

void add_convolutions(Table& table);    // FusedConv
void add_fused_products(Table& table);  // FusedMatMul
void add_products(Table& table);        // MatMul of two activations
void add_elementwise(Table& table);     // unary functions, activations, binary arithmetic
void add_pools(Table& table);
void add_norms(Table& table);        // normalisations of rows and of groups of channels, LRN, Softmax
void add_reductions(Table& table);   // sums, means, extremes over axes that lie side by side
void add_conversions(Table& table);  // QuantizeLinear, DequantizeLinear, Cast, requantization
void add_movement(Table& table);     // Transpose, Concat, Split, Slice, Gather, Pad, Resize, Expand, ...
void add_attention(Table& table);
void add_recurrent(Table& table);  // LSTM, GRU
void add_reference(Table& table);  // everything, in plain loops

}  // namespace narrow::runtime::lower
