#include "ir/ops/schema_case.h"

namespace narrow::ir::ops {
namespace {

NARROW_SCHEMA_CASES(UnarySchema,
                    {
                        {"%x: f32[N,?,3]", "%y = Relu(%x)", "f32[N,?,3]"},
                        {"%x: s32[2]", "%y = Relu(%x)", "s32[2]"},
                        {"%x: bf16", "%y = Sigmoid(%x)", "bf16"},
                        {"%x: s32[2]", "%y = Sigmoid(%x)", "error: input 0 (X)"},
                        {"%x: u8[2]", "%y = Sigmoid(%x)", "error: quantized"},
                        {"%x: u8[2]<0.5,1>", "%y = Sigmoid(%x)", "u8[2]"},
                        {"%x: u8[2]<0.5,1>", R"(%y = Sigmoid(%x) {out_dtype="bf16"})", "bf16[2]"},
                        {"%x: f32[2]", "@lo: f32[] = [0] %y = Clip(%x, @lo)", "f32[2]"},
                        {"%x: f32[2], %lo: f32[2]", "%y = Clip(%x, %lo)", "error: scalar"},
                        {"%x: f32[2]", "@hi: f16[] = [6] %y = Clip(%x, -, @hi)", "error: one element type"},
                        {"%x: f32[1,4,2], %s: f32[4,1]", "%y = PRelu(%x, %s)", "f32[1,4,2]"},
                        {"%x: f32[1,4,2], %s: f32[3,1]", "%y = PRelu(%x, %s)", "error: broadcasts to"},
                        {"%x: bool[2]", "%y = Not(%x)", "bool[2]"},
                        {"%x: f32[2]", "%y = IsNaN(%x)", "bool[2]"},
                        {"%x: f32[2], %z: f32[2]", "%y = Relu(%x, %z)", "error: at most 1 inputs"},
                        {"%x: f32[2]", "%y, %z = Relu(%x)", "error: 1 to 1 outputs"},
                        {"%x: undefined[2]", "%y = Identity(%x)", "error: undefined"},
                    });

NARROW_SCHEMA_CASES(BinarySchema,
                    {
                        {"%a: f32[2,3], %b: f32[3]", "%y = Add(%a, %b)", "f32[2,3]"},
                        {"%a: f32[N,1,3], %b: f32[N,4,1]", "%y = Mul(%a, %b)", "f32[N,4,3]"},
                        {"%a: f32[N], %b: f32[5]", "%y = Sub(%a, %b)", "f32[5]"},
                        {"%a: f32[N], %b: f32[M]", "%y = Sub(%a, %b)", "f32[?]"},
                        {"%a: f32[N], %b: f32[1]", "%y = Div(%a, %b)", "f32[N]"},
                        {"%a: f32[0], %b: f32[1]", "%y = Div(%a, %b)", "f32[0]"},
                        {"%a: f32[], %b: f32[2]", "%y = Div(%a, %b)", "f32[2]"},
                        {"%a: f32, %b: f32[2]", "%y = Add(%a, %b)", "f32"},
                        {"%a: f32[2], %b: f32[3]", "%y = Add(%a, %b)", "error: broadcast"},
                        {"%a: f32[2], %b: f64[2]", "%y = Add(%a, %b)", "error: one element type"},
                        {"%a: f32[2], %b: s64[2]", "%y = Pow(%a, %b)", "f32[2]"},
                        {"%a: f32[2], %b: f32[]", "%y = Less(%a, %b)", "bool[2]"},
                        {"%a: f32[2,1], %b: f32[3], %c: f32[4,1,1]", "%y = Max(%a, %b, %c)", "f32[4,2,3]"},
                        {"%c: bool[2,1], %a: s64[3], %b: s64[]", "%y = Where(%c, %a, %b)", "s64[2,3]"},
                        {"%a: u8[2]<1,0>, %b: s8[2]<1,0>", R"(%y = Add(%a, %b) {out_dtype="u8"})", "u8[2]"},
                        {"%a: u8[2], %b: s8[2]", "%y = Add(%a, %b)", "error: one element type"},
                    });

}  // namespace
}  // namespace narrow::ir::ops
