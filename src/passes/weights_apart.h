// Weights that stand apart from their codes, as files have them (quant/apply_groups.cpp):
//   W = Reshape(ScatterElements(Reshape(DequantizeLinear(codes, ...), [-1]), CumSum(Cast(gaps), 0),
//                               Cast(values); axis 0, reduction add), shape)
#pragma once

#include <array>
#include <optional>

#include "passes/match.h"

namespace narrow::passes {

/// The nodes of one: everything but gaps and values is seen by one reader.
struct WeightsApart {
  Node *flat, *gaps, *places, *values, *add, *whole;
  /// What the codes stand for.
  Value* dequantized() const { return flat->input(0); }
};

/// Of the value that the last Reshape makes. The gaps are a constant of u8, the values one of f16; what they
/// are added to may be anything.
std::optional<WeightsApart> weights_apart(const Value* whole);

/// `cast` widens the gaps of one.
bool widens_gaps(const Node* cast);

}  // namespace narrow::passes
