// The orders in which passes run, and the reason for each position that is not obvious.
#include <array>
#include <string_view>

#include "passes/list.h"

namespace narrow::passes {
namespace {

#define NARROW_PASS(function, doc) \
  Pass { #function, doc, function }

const Pass kFoldConstants =
    NARROW_PASS(fold_constants, "computes what depends on constants and known dimensions only");
const Pass kFoldNarrow =
    NARROW_PASS(fold_narrow_constants, "widens integer and half constants nobody reads as such");
const Pass kFoldParameters = NARROW_PASS(
    fold_narrow_parameters, "dequantized parameters of a BatchNormalization become plain numbers");
const Pass kCleanUp = NARROW_PASS(clean_up, "drops nodes that do nothing, merges chains of movements");
const Pass kShareCommon = NARROW_PASS(share_common, "computes equal nodes and keeps equal constants once");
const Pass kAutoPad = NARROW_PASS(resolve_auto_pad, "auto_pad becomes explicit pads where extents are known");
const Pass kConv1d =
    NARROW_PASS(conv1d_to_conv2d, "convolutions over sequences become those over images one pixel high");
const Pass kConvTranspose =
    NARROW_PASS(conv_transpose_to_conv, "ConvTranspose becomes Conv and DepthToSpace");
const Pass kTrimTaps =
    NARROW_PASS(trim_taps, "rows and columns of kernels that only see padding go, with their pads");
const Pass kFoldBatchnorm = NARROW_PASS(fold_batchnorm, "BatchNormalization into the layer before it");
const Pass kFoldAffine =
    NARROW_PASS(fold_affine, "per-channel Mul, Div, Add, Sub by constants into the layer before them");
const Pass kBatchnormToConv =
    NARROW_PASS(batchnorm_to_conv, "remaining per-channel scaling becomes a depthwise 1x1 Conv");
const Pass kGelu = NARROW_PASS(recognise_gelu, "the erf and tanh formulas become Gelu");
const Pass kSilu = NARROW_PASS(recognise_silu, "products with a gate become Swish, HardSwish, Mish");
const Pass kPool =
    NARROW_PASS(recognise_pool, "means and maxima over all pixels become GlobalAveragePool, GlobalMaxPool");
const Pass kLayernorm = NARROW_PASS(recognise_layernorm, "the primitive formula becomes LayerNormalization");
const Pass kRmsnorm = NARROW_PASS(recognise_rmsnorm, "the primitive formula becomes RMSNormalization");
const Pass kGroupnorm =
    NARROW_PASS(recognise_groupnorm,
                "InstanceNormalization of images, whole or reshaped into groups, becomes GroupNormalization");
const Pass kAttention =
    NARROW_PASS(recognise_attention, "MatMul, scale, mask, Softmax, MatMul become Attention");
const Pass kShuffle =
    NARROW_PASS(recognise_shuffle, "reshapes and transposes that permute channels become Gather");
const Pass kFoldShuffle =
    NARROW_PASS(fold_shuffle, "a permutation of channels behind a FusedConv becomes an order of its filters");
const Pass kQuantizeRows =
    NARROW_PASS(recognise_quantize_rows, "rows scaled by their own magnitude become QuantizeRows");
const Pass kMatmulInteger = NARROW_PASS(
    lower_matmul_integer, "MatMulInteger of constant weights, cast to float, becomes FusedMatMul");
const Pass kFuseConv = NARROW_PASS(fuse_conv, "Conv with residual and activation becomes FusedConv");
const Pass kLowerConv = NARROW_PASS(lower_conv, "Conv becomes FusedConv, nothing absorbed");
const Pass kFuseMatmul =
    NARROW_PASS(fuse_matmul, "MatMul or Gemm with bias, residual, activation becomes FusedMatMul");
const Pass kLowerMatmul = NARROW_PASS(lower_matmul, "MatMul or Gemm becomes FusedMatMul, nothing absorbed");
const Pass kFuseCasts = NARROW_PASS(fuse_casts, "casts into the nodes around them");
const Pass kExpandQlinear =
    NARROW_PASS(expand_qlinear, "QLinear operators become DequantizeLinear, op, QuantizeLinear");
const Pass kSinkDequantize =
    NARROW_PASS(sink_dequantize, "data movement happens on the integers, dequantization after it");
const Pass kLowerQuantized =
    NARROW_PASS(lower_quantized, "ops between DequantizeLinear and QuantizeLinear become integer ops");
const Pass kStripQuantization =
    NARROW_PASS(strip_quantization, "what was quantized and dequantized again is read as it was");
const Pass kWidenHalf = NARROW_PASS(widen_half, "FP16 and BF16 arithmetic becomes FP32");
const Pass kChannelsLast =
    NARROW_PASS(channels_last, "image-shaped values lie as NHWC; transposes only at region borders");

const Pass kQuantizeImage = NARROW_PASS(
    fuse_quantize_image, "a QuantizeLinear whose result is transposed to NHWC becomes QuantizeImage");

// In no list: runtime/merging.h runs it where the plan is faster so.
const Pass kMergeConvs =
    NARROW_PASS(merge_parallel_convs, "convolutions that read the same value become one and a Split");

#undef NARROW_PASS

const std::array kPortable = {kFoldConstants, kCleanUp, kShareCommon, kAutoPad, kFoldParameters,
                              kFoldBatchnorm, kFoldAffine,
                              kConv1d,         // before what is left becomes Conv, over images only
                              kConvTranspose,  // with what was folded into it
                              kBatchnormToConv, kFoldAffine,  // again: a Mul or Add behind a
                                                              // BatchNormalization that just became a Conv
                              kFoldConstants, kCleanUp,
                              kTrimTaps,  // once extents are known and Pads are part of what they pad for
                              // plans see functions, whose argument no one else reads, and pools
                              kSilu, kPool};

const std::array kEngine = {
    kExpandQlinear, kFoldConstants, kCleanUp,       kShareCommon,    kAutoPad,
    kFuseCasts,  // patterns are recognised without the casts of mixed precision between
    kGelu,          kSilu,          kLayernorm,     kRmsnorm,        kGroupnorm,
    kAttention,  // before dequantization sinks below the head split it absorbs
    kCleanUp,       kQuantizeRows,  kMatmulInteger, kSinkDequantize,
    kShuffle,  // whose movements are neighbours once dequantization is below them
    kFoldConstants, kShareCommon,   kFuseConv,      kFuseMatmul,     kFuseCasts,     kLowerQuantized,
    kFoldNarrow,  // after lowering, which wants to see the integers
    kFoldShuffle,   kChannelsLast,  kCleanUp,       kQuantizeImage,  kFoldConstants, kFoldNarrow,
    kShareCommon};

// No clean-up: a value that a clean-up would merge away must still be seen. Folding only touches what is
// constant.
const std::array kObservable = {kFoldConstants, kAutoPad, kLowerConv, kLowerMatmul, kChannelsLast};

// Constants are folded only once nothing is quantized: weights become plain numbers then.
const std::array kGiven = {kExpandQlinear, kWidenHalf, kFoldConstants, kCleanUp};
const std::array kOriginal = {kStripQuantization, kFoldNarrow,      kFoldConstants, kCleanUp,
                              kShareCommon,       kFoldBatchnorm,   kFoldAffine,    kConv1d,
                              kConvTranspose,     kBatchnormToConv, kFoldConstants, kCleanUp};

}  // namespace

std::span<const Pass> portable_passes() { return kPortable; }
std::span<const Pass> engine_passes() { return kEngine; }
std::span<const Pass> observable_passes() { return kObservable; }
std::span<const Pass> given_passes() { return kGiven; }
std::span<const Pass> original_passes() { return kOriginal; }

const Pass* find_pass(std::string_view name) {
  if (name == kMergeConvs.name) return &kMergeConvs;
  for (const std::span<const Pass> list :
       {portable_passes(), engine_passes(), observable_passes(), given_passes(), original_passes()})
    for (const Pass& pass : list)
      if (name == pass.name) return &pass;
  return nullptr;
}

}  // namespace narrow::passes
