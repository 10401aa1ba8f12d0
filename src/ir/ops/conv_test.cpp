#include "ir/ops/schema_case.h"

namespace narrow::ir::ops {
namespace {

// Sizes by hand from the specification's formula floor((in + pads - ((k-1)*d+1)) / s) + 1.
NARROW_SCHEMA_CASES(
    ConvSchema,
    {
        {"%x: f32[1,3,224,224], %w: f32[64,3,7,7]", "%y = Conv(%x, %w) {strides=[2,2], pads=[3,3,3,3]}",
         "f32[1,64,112,112]"},
        {"%x: f32[N,3,H,W], %w: f32[64,3,3,3]", "%y = Conv(%x, %w) {pads=[1,1,1,1]}", "f32[N,64,H,W]"},
        {"%x: f32[N,3,H,W], %w: f32[64,3,3,3]", "%y = Conv(%x, %w) {pads=[1,1,1,1], strides=[2,2]}",
         "f32[N,64,?,?]"},
        {"%x: f32[1,8,10], %w: f32[8,1,3], %b: f32[8]", "%y = Conv(%x, %w, %b) {group=8, dilations=[4]}",
         "f32[1,8,2]"},
        {"%x: f32[1,1,5,6], %w: f32[1,1,3,3]", R"(%y = Conv(%x, %w) {auto_pad="SAME_UPPER", strides=[2,3]})",
         "f32[1,1,3,2]"},
        {"%x: f32[1,1,5,5], %w: f32[1,1,3,3]", R"(%y = Conv(%x, %w) {auto_pad="VALID"})", "f32[1,1,3,3]"},
        {"%x: f32, %w: f32[4,2,3,3]", "%y = Conv(%x, %w)", "f32[?,4,?,?]"},
        {"%x: f32[1,2,9,9], %w: f32", "%y = Conv(%x, %w) {kernel_shape=[3,3]}", "f32[1,?,7,7]"},
        {"%x: f32, %w: f32", "%y = Conv(%x, %w)", "f32"},
        {"%x: f32[1,6,9,9], %w: f32[4,2,3,3]", "%y = Conv(%x, %w)", "error: channels"},
        {"%x: f32[1,2,2,9], %w: f32[4,2,3,3]", "%y = Conv(%x, %w)", "error: no larger than the padded input"},
        {"%x: f32[1,2,9,9], %w: f32[4,2,3,3]", "%y = Conv(%x, %w) {kernel_shape=[5,3]}",
         "error: kernel_shape"},
        {"%x: f32[1,2,9,9], %w: f32[4,2,3,3]", "%y = Conv(%x, %w) {strides=[0,1]}", "error: strides"},
        {"%x: f32[1,2,9,9], %w: f32[4,2,3,3]", "%y = Conv(%x, %w) {pads=[-1,0,0,0]}", "error: pads"},
        {"%x: f32[1,2,9,9], %w: f32[4,2,3,3]", "%y = Conv(%x, %w) {group=0}", "error: group"},
        {"%x: f32[1,2,9,9], %w: f32[4,2,3,3]", "%y = Conv(%x, %w) {dilations=[9223372036854775807,1]}",
         "error: window"},
        {"%x: f32[1,2,9,9], %w: f32[4,2,3,3]",
         "%y = Conv(%x, %w) {pads=[9223372036854775807,0,9223372036854775807,0]}", "error: fits in 63 bits"},
        {"%x: f32[1,2,9,9], %w: f32[4,2,3,3]", "%y = Conv(%x, %w) {pads=[4611686018427387904,0,0,0]}",
         "error: fit in 63 bits"},
        {"%x: f32[1,2,9,9], %w: f32[4,2,3,3]", R"(%y = Conv(%x, %w) {auto_pad="AROUND"})", "error: auto_pad"},
        {"%x: u8[1,2,9,9], %w: s8[4,2,3,3]", "%y = Conv(%x, %w)", "error: quantized"},
        {"%x: s64[1,2,9,9], %w: s64[4,2,3,3]", "%y = Conv(%x, %w)", "error: input 0 (X)"},
        {"%x: f32[1,2,9,9]", "%y = Conv(%x)", "error: input 1 (W)"},
    });

// stride * (in - 1) + output_padding + ((k-1)*d+1) - pads
NARROW_SCHEMA_CASES(
    ConvTransposeSchema,
    {
        {"%x: f32[1,8,7,7], %w: f32[8,4,3,3]",
         "%y = ConvTranspose(%x, %w) {strides=[2,2], pads=[1,1,1,1], output_padding=[1,1]}",
         "f32[1,4,14,14]"},
        {"%x: f32[1,8,3,3], %w: f32[8,2,2,2]", "%y = ConvTranspose(%x, %w) {group=4, strides=[2,2]}",
         "f32[1,8,6,6]"},
        {"%x: f32[1,1,3,3], %w: f32[1,2,3,3]",
         "%y = ConvTranspose(%x, %w) {strides=[3,2], output_shape=[10,8]}", "f32[1,2,10,8]"},
        {"%x: f32[1,1,3,3], %w: f32[1,2,3,3]",
         R"(%y = ConvTranspose(%x, %w) {strides=[2,2], auto_pad="SAME_LOWER"})", "f32[1,2,6,6]"},
        {"%x: f32[1,1,3,3], %w: f32[1,1,2,2]", "%y = ConvTranspose(%x, %w) {dilations=[2,2]}",
         "f32[1,1,5,5]"},
        {"%x: f32[1,7,7,8], %w: f32[8,4,2,2]", "%y = ConvTranspose(%x, %w) {strides=[2,2], channels_last=1}",
         "f32[1,14,14,4]"},
        {"%x: f32[1,7,3,3], %w: f32[8,4,3,3]", "%y = ConvTranspose(%x, %w)", "error: channels"},
        {"%x: f32[1,8,1,1], %w: f32[8,4,1,1]", "%y = ConvTranspose(%x, %w) {pads=[9,9,9,9]}",
         "error: negative"},
    });

NARROW_SCHEMA_CASES(
    FusedSchema,
    {
        {"%x: f32[1,8,8,3], %w: f32[16,3,3,3], %b: f32[16], %r: f32[1,8,8,16]",
         R"(%y = FusedConv(%x, %w, %b, %r) {pads=[1,1,1,1], channels_last=1, activation="relu"})",
         "f32[1,8,8,16]"},
        {"%x: bf16[1,8,8,3], %w: bf16[16,3,1,1], %b: f32[16]",
         R"(%y = FusedConv(%x, %w, %b) {channels_last=1, out_dtype="f32"})", "f32[1,8,8,16]"},
        {"%x: u8[N,3,8,8]<0.5,3>, %w: s8[2,3,1,1]<0;0.5,0.25;0,0>, %b: s32[2]",
         R"(%y: u8[N,2,8,8]<0.25,1> = FusedConv(%x, %w, %b) {out_dtype="u8"})", "u8[N,2,8,8]<0.25,1>"},
        {"%x: u8[N,3,8,8]<0.5,3>, %w: s8[2,3,1,1]<0.5,0>", R"(%y = FusedConv(%x, %w) {out_dtype="f32"})",
         "f32[N,2,8,8]"},
        {"%x: u8[N,3,8,8], %w: s8[2,3,1,1]<0.5,0>", "%y = FusedConv(%x, %w)", "error: quantized per tensor"},
        {"%x: u8[N,3,8,8]<1,0>, %w: s8[2,3,1,1]<1;1,1,1;0,0,0>", "%y = FusedConv(%x, %w)", "error: axis 0"},
        {"%x: u8[N,3,8,8]<1,0>, %w: s8[2,3,1,1]<1,0>, %b: f32[2]", "%y = FusedConv(%x, %w, %b)",
         "error: s32"},
        {"%x: f32[1,3,8,8], %w: f32[2,3,1,1], %r: f32[1,2,8,9]", "%y = FusedConv(%x, %w, -, %r)",
         "error: R of the shape"},
        {"%x: f32[1,3,8,8], %w: f32[2,3,1,1]", R"(%y = FusedConv(%x, %w) {out_dtype="f24"})",
         "error: out_dtype"},
        {"%a: f32[B,S,64], %b: f32[256,64], %c: f32[256]", "%y = FusedMatMul(%a, %b, %c) {transB=1}",
         "f32[B,S,256]"},
        {"%a: u8[5,4]<1,0>, %b: s8[4,2]<1;1,1;0,0>", R"(%y = FusedMatMul(%a, %b) {out_dtype="f32"})",
         "f32[5,2]"},
        {"%a: u8[5,4]<1,0>, %b: s8[2,4]<0;1,1;0,0>",
         R"(%y = FusedMatMul(%a, %b) {transB=1, out_dtype="f32"})", "f32[5,2]"},
        {"%a: u8[5,4]<1,0>, %b: s8[4,2]<0;1,1,1,1;0,0,0,0>", "%y = FusedMatMul(%a, %b)", "error: axis 1"},
    });

}  // namespace
}  // namespace narrow::ir::ops
