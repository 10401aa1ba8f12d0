// Every pass's function; lists.cpp puts them in order.
#pragma once

#include "passes/pass.h"

namespace narrow::passes {

#define NARROW_PASS(name) Result<int64_t> name(ir::Graph& graph, const PassContext& context)

// shapes, constants, housekeeping
NARROW_PASS(fold_constants);
NARROW_PASS(fold_narrow_constants);
NARROW_PASS(fold_narrow_parameters);
NARROW_PASS(clean_up);
NARROW_PASS(share_common);
NARROW_PASS(resolve_auto_pad);
NARROW_PASS(conv1d_to_conv2d);
NARROW_PASS(conv_transpose_to_conv);
NARROW_PASS(trim_taps);
// affine arithmetic into weights
NARROW_PASS(fold_batchnorm);
NARROW_PASS(fold_affine);
NARROW_PASS(batchnorm_to_conv);
// patterns
NARROW_PASS(recognise_gelu);
NARROW_PASS(recognise_silu);
NARROW_PASS(recognise_pool);
NARROW_PASS(recognise_layernorm);
NARROW_PASS(recognise_rmsnorm);
NARROW_PASS(recognise_groupnorm);
NARROW_PASS(recognise_attention);
NARROW_PASS(recognise_shuffle);
NARROW_PASS(fold_shuffle);
NARROW_PASS(recognise_quantize_rows);
// fusion
NARROW_PASS(fuse_conv);
NARROW_PASS(lower_conv);
NARROW_PASS(fuse_matmul);
NARROW_PASS(lower_matmul);
NARROW_PASS(fuse_casts);
// integers
NARROW_PASS(expand_qlinear);
NARROW_PASS(sink_dequantize);
NARROW_PASS(lower_quantized);
NARROW_PASS(lower_matmul_integer);
NARROW_PASS(strip_quantization);
NARROW_PASS(widen_half);
// layout
NARROW_PASS(channels_last);
NARROW_PASS(fuse_quantize_image);
// behind these, where it is faster
NARROW_PASS(merge_parallel_convs);

#undef NARROW_PASS

}  // namespace narrow::passes
