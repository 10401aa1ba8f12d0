// The table of the reference: op -> function, and what evaluate() does around it.
#pragma once

#include "ir/op.h"
#include "runtime/reference/common.h"

namespace narrow::runtime::reference {

/// What evaluate() does before and after the function of an op.
enum class Kind : uint8_t {
  floats,   // input 0 is float; f16 and bf16 are widened to f32 and narrowed again; quantized values become
            // f32
  numbers,  // the same, integers allowed
  orders,   // numbers, and integers quantized alike on both sides are computed with as they lie (max)
  moves,    // any type, not converted; integers quantized alike on both sides move as they lie
  plain,    // any type, not converted; quantized values become f32
  own,      // the op knows what its integers mean
};

struct Entry {
  Function function = nullptr;
  Kind kind = Kind::own;
  int required = 0;  // the first inputs, which must be there
};

/// function == nullptr: the op has no reference.
const Entry& entry(ir::Op op);

#define NARROW_REFERENCE(op, function, kind, required) Outputs function(const ir::Node& node, Inputs inputs);
#include "runtime/reference/functions.inc"
#undef NARROW_REFERENCE

}  // namespace narrow::runtime::reference
