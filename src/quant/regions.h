// Which nodes can compute in a narrow format, and which of them are worth it.
#pragma once

#include <set>
#include <string>
#include <unordered_set>

#include "ir/graph.h"

namespace narrow::quant {

/// The name a recipe knows a node by.
const std::string& key_of(const ir::Node& node);

/// Convolutions and products with constant weights: where the arithmetic is. Not those of constants or of
/// what is computed from shapes alone: a plan computes them once, in FP32, and no calibration sees what they
/// read.
bool is_heavy(const ir::Node& node);
/// The constant weights of a heavy node (through a Cast of a narrow constant), or null.
const ir::Value* weights_of(const ir::Node& node);
/// The axis of the weights that is the result channel: Conv 0; Gemm and MatMul the one that becomes N.
int64_t channel_axis(const ir::Node& node);
/// The axis of a heavy node's weights that groups of them lie along: input channels, rows of a matrix.
int64_t group_axis(const ir::Node& node);
/// Takes rows (axis 0) of a constant FP32 matrix of a million numbers or more, an embedding: its memory is
/// worth narrowing. Smaller ones are not: they cost accuracy and save little.
bool is_large_table(const ir::Node& node);
/// Only moves elements: the result has the scale of input 0.
bool is_movement(const ir::Node& node);

struct IntegerRegions {
  std::unordered_set<const ir::Node*> nodes;    // compute in integers
  std::unordered_set<const ir::Value*> stored;  // live in memory as u8
};

/// Integer regions of int8:
///   heavy nodes, except those in `wide`;
///   Add, Concat, pools, activations, resizes and data movement between them: inputs all made by integer
///   nodes (or the model's inputs), and a result that reaches a heavy node through such nodes only. What
///   comes after the last heavy node (the decoding of a detector, a final softmax) stays in FP32: its result
///   is FP32 anyway.
/// A value between a heavy node and the bias, residual Add and activation fused into it is never stored, nor
/// one between an Add or Mul and the Relu that alone reads it.
IntegerRegions integer_regions(const ir::Graph& graph, const std::set<std::string>& wide);

/// Nodes for FP16 or BF16: float arithmetic up to the last heavy node of each path, except `wide` and
/// functions that lose too much in a short fraction (Exp, Log, Pow, reductions, ...).
std::unordered_set<const ir::Node*> half_region(const ir::Graph& graph, const std::set<std::string>& wide);

}  // namespace narrow::quant
