#include "ir/ops/schema_case.h"

namespace narrow::ir::ops {
namespace {

NARROW_SCHEMA_CASES(MatMulSchema,
                    {
                        {"%a: f32[2,3], %b: f32[3,4]", "%y = MatMul(%a, %b)", "f32[2,4]"},
                        {"%a: f32[3], %b: f32[3]", "%y = MatMul(%a, %b)", "f32[]"},
                        {"%a: f32[3], %b: f32[5,3,4]", "%y = MatMul(%a, %b)", "f32[5,4]"},
                        {"%a: f32[5,2,3], %b: f32[3]", "%y = MatMul(%a, %b)", "f32[5,2]"},
                        {"%a: f32[B,H,S,64], %b: f32[1,H,64,T]", "%y = MatMul(%a, %b)", "f32[B,H,S,T]"},
                        {"%a: f32[7,1,2,3], %b: f32[5,3,4]", "%y = MatMul(%a, %b)", "f32[7,5,2,4]"},
                        {"%a: f32, %b: f32[3,4]", "%y = MatMul(%a, %b)", "f32"},
                        {"%a: f32[2,3], %b: f32[4,3]", "%y = MatMul(%a, %b)", "error: inner"},
                        {"%a: f32[2,2,3], %b: f32[3,3,4]", "%y = MatMul(%a, %b)", "error: broadcast"},
                        {"%a: f32[], %b: f32[3,3]", "%y = MatMul(%a, %b)", "error: rank 1 or more"},
                        {"%a: f32[2,3], %b: f16[3,4]", "%y = MatMul(%a, %b)", "error: one element type"},
                        {"%a: u8[2,3], %b: s8[3,4]", "%y = MatMulInteger(%a, %b)", "s32[2,4]"},
                    });

NARROW_SCHEMA_CASES(
    GemmSchema,
    {
        {"%a: f32[N,64], %b: f32[10,64], %c: f32[10]", "%y = Gemm(%a, %b, %c) {transB=1}", "f32[N,10]"},
        {"%a: f32[64,N], %b: f32[64,10]", "%y = Gemm(%a, %b) {transA=1}", "f32[N,10]"},
        {"%a: f32, %b: f32", "%y = Gemm(%a, %b)", "f32[?,?]"},
        {"%a: f32[2,3], %b: f32[3,4], %c: f32[3]", "%y = Gemm(%a, %b, %c)", "error: broadcasts to"},
        {"%a: f32[2,3,1], %b: f32[3,4]", "%y = Gemm(%a, %b)", "error: rank 2"},
    });

NARROW_SCHEMA_CASES(EinsumSchema,
                    {
                        {"%a: f32[B,S,64], %b: f32[64,T]",
                         R"(%y = Einsum(%a, %b) {equation="bsk, kt -> bst"})", "f32[B,S,T]"},
                        {"%a: f32[4,4]", R"(%y = Einsum(%a) {equation="ii"})", "f32[]"},
                        {"%a: f32[2,3]", R"(%y = Einsum(%a) {equation="ba"})", "f32[3,2]"},
                        {"%a: f32[7,2,3], %b: f32[7,3,5]",
                         R"(%y = Einsum(%a, %b) {equation="...ij,...jk->...ik"})", "f32[7,2,5]"},
                        {"%a: f32[2,3], %b: f32[4,5]", R"(%y = Einsum(%a, %b) {equation="ij,jk->ik"})",
                         "error: equal dims"},
                        {"%a: f32[2,3]", R"(%y = Einsum(%a) {equation="ij->ik"})", "error: output letters"},
                        {"%a: f32[2,3]", R"(%y = Einsum(%a) {equation="ijk"})", "error: a letter per dim"},
                        {"%a: f32[2,3]", R"(%y = Einsum(%a) {equation="i1"})", "error: equation"},
                    });

}  // namespace
}  // namespace narrow::ir::ops
