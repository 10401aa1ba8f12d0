#include "ir/ops/schema_case.h"

namespace narrow::ir::ops {
namespace {

NARROW_SCHEMA_CASES(
    QuantizeSchema,
    {
        {"%x: f32[N,3], %s: f32[], %z: s8[]", "%y = QuantizeLinear(%x, %s, %z)", "s8[N,3]"},
        {"%x: f32[N,3], %s: f32[3]", "%y = QuantizeLinear(%x, %s)", "u8[N,3]"},
        {"%x: f32[N,3], %s: f32[]", "%y = QuantizeLinear(%x, %s) {output_dtype=3}", "s8[N,3]"},
        {"%x: f32[N,3], %s: f32[], %z: s8[]", "%y = QuantizeLinear(%x, %s, %z) {output_dtype=2}",
         "error: zero point"},
        {"%x: f32[N,3], %s: f32[4]", "%y = QuantizeLinear(%x, %s)", "error: one per index"},
        {"%x: f32[3,64], %s: f32[3,2]", "%y = QuantizeLinear(%x, %s) {block_size=32}", "u8[3,64]"},
        {"%x: f32[3,64], %s: f32[3,3]", "%y = QuantizeLinear(%x, %s) {block_size=32}", "error: per block"},
        {"%x: f32[N,3], %s: f32[], %z: f8e5m2[]", "%y = QuantizeLinear(%x, %s, %z) {saturate=0}",
         "f8e5m2[N,3]"},
        {"%x: f32[N,3], %s: f32[]", "%y = QuantizeLinear(%x, %s) {output_dtype=22}", "s4[N,3]"},
        {"%x: f32[N,3], %s: f8e8m0[]", "%y = QuantizeLinear(%x, %s) {output_dtype=23}", "f4e2m1[N,3]"},
        {"%x: f32[N,3], %s: f32[]", "%y = QuantizeLinear(%x, %s) {output_dtype=24}",
         "error: a quantized type"},
        {"%x: s4[64,8], %s: f16[2,8]", "%y = DequantizeLinear(%x, %s) {axis=0, block_size=32}", "f16[64,8]"},
        {"%x: f4e2m1[2,8], %s: f8e8m0[]", "%y = DequantizeLinear(%x, %s) {output_dtype=1}", "f32[2,8]"},
        {"%x: f4e2m1[2,8], %s: f8e8m0[]", "%y = DequantizeLinear(%x, %s)", "error: output_dtype"},
        {"%x: u8[N,3], %s: f32[]", "%y = DequantizeLinear(%x, %s)", "f32[N,3]"},
        {"%x: s32[8], %s: bf16[8]", "%y = DequantizeLinear(%x, %s) {axis=0}", "bf16[8]"},
        {"%x: u8[N,3], %s: f32[], %z: s8[]", "%y = DequantizeLinear(%x, %s, %z)", "error: zero point"},
        {"%x: f32[N]", "%y, %s, %z = DynamicQuantizeLinear(%x)", "u8[N] f32[] u8[]"},
        {"%x: u8[1,3,8,8], %s: f32[], %z: u8[], %w: s8[4,3,3,3], %ws: f32[4], %wz: s8[4], %b: s32[4]",
         "%y = QLinearConv(%x, %s, %z, %w, %ws, %wz, %s, %z, %b) {pads=[1,1,1,1]}", "u8[1,4,8,8]"},
        {"%a: u8[5,3], %s: f32[], %z: u8[], %b: s8[3,4], %bz: s8[], %yz: s8[]",
         "%y = QLinearMatMul(%a, %s, %z, %b, %s, %bz, %s, %yz)", "s8[5,4]"},
        {"%x: u8[1,3,8,8], %w: u8[4,3,3,3]", "%y = ConvInteger(%x, %w)", "s32[1,4,6,6]"},
    });

NARROW_SCHEMA_CASES(
    QLinearSchema,
    {
        {"%a: u8[N,3], %b: u8[3], %s: f32[], %z: u8[]", "%y = QLinearAdd(%a, %s, %z, %b, %s, %z, %s, %z)",
         "u8[N,3]"},
        {"%a: u8[N,3], %b: u8[3], %s: f32[]", "%y = QLinearMul(%a, %s, -, %b, %s, -, %s)", "u8[N,3]"},
        {"%a: u8[N,3], %b: u8[N,4], %s: f32[], %z: u8[]",
         "%y = QLinearConcat(%s, %z, %a, %s, %z, %b, %s, %z) {axis=1}", "u8[N,7]"},
        {"%a: u8[N,3], %s: f32[], %z: u8[]", "%y = QLinearConcat(%s, %z, %a, %s) {axis=1}",
         "error: per part"},
        {"%x: u8[N,8,7,7], %s: f32[], %z: u8[]", "%y = QLinearGlobalAveragePool(%x, %s, %z, %s, %z)",
         "u8[N,8,1,1]"},
        {"%x: u8[N,8,7,7], %s: f32[], %z: u8[]",
         "%y = QLinearAveragePool(%x, %s, %z, %s, %z) {kernel_shape=[2,2]}", "u8[N,8,6,6]"},
        {"%x: s8[N,8], %s: f32[], %z: s8[]", "%y = QLinearSigmoid(%x, %s, %z, %s, %z)", "s8[N,8]"},
        {"%x: u8[N,8], %s: f32[], %z: u8[]", "%y = QLinearSoftmax(%x, %s, %z, %s, %z) {axis=-1}", "u8[N,8]"},
        {"%a: u8[N,8], %b: s8[10,8], %s: f32[], %z: u8[], %bz: s8[], %c: s32[10]",
         "%y = QGemm(%a, %s, %z, %b, %s, %bz, %c, %s, %z) {transB=1}", "u8[N,10]"},
        {"%a: u8[N,8], %b: s8[8,10], %s: f32[], %z: u8[], %bz: s8[]", "%y = QGemm(%a, %s, %z, %b, %s, %bz)",
         "f32[N,10]"},
    });

}  // namespace
}  // namespace narrow::ir::ops
