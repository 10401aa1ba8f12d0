// One list per file of this folder; table.cpp joins them (self-registering globals vanish from static
// libraries).
#pragma once

#include <vector>

#include "ir/schema.h"

namespace narrow::ir::ops {

using Schemas = std::vector<OpSchema>;

Schemas conv_ops();
Schemas matmul_ops();
Schemas einsum_ops();
Schemas pool_ops();
Schemas norm_ops();
Schemas unary_ops();
Schemas binary_ops();
Schemas reduce_ops();
Schemas search_ops();
Schemas shape_ops();
Schemas reshape_ops();
Schemas movement_ops();
Schemas slice_ops();
Schemas gather_ops();
Schemas resize_ops();
Schemas attention_ops();
Schemas quantize_ops();
Schemas qlinear_ops();
Schemas fused_ops();
Schemas control_ops();
Schemas bit_ops();
Schemas select_ops();
Schemas image_ops();
Schemas signal_ops();
Schemas loss_ops();
Schemas recurrent_ops();

}  // namespace narrow::ir::ops
