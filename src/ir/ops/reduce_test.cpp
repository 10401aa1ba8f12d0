#include "ir/ops/schema_case.h"

namespace narrow::ir::ops {
namespace {

NARROW_SCHEMA_CASES(
    ReduceSchema,
    {
        {"%x: f32[N,C,7,7]", "@a: s64[2] = [2,-1] %y = ReduceMean(%x, @a)", "f32[N,C,1,1]"},
        {"%x: f32[N,C,7,7]", "@a: s64[2] = [2,-1] %y = ReduceMean(%x, @a) {keepdims=0}", "f32[N,C]"},
        {"%x: f32[2,3]", "%y = ReduceSum(%x)", "f32[1,1]"},
        {"%x: f32[2,3]", "%y = ReduceSum(%x) {keepdims=0}", "f32[]"},
        {"%x: f32[2,3]", "%y = ReduceSum(%x) {noop_with_empty_axes=1}", "f32[2,3]"},
        {"%x: f32[2,3], %a: s64[1]", "%y = ReduceMax(%x, %a)", "f32[?,?]"},
        {"%x: f32[2,3], %a: s64[1]", "%y = ReduceMax(%x, %a) {keepdims=0}", "f32[?]"},
        {"%x: f32[2,3], %a: s64[K]", "%y = ReduceMax(%x, %a) {keepdims=0}", "f32"},
        {"%x: f32", "%y = ReduceMax(%x)", "f32"},
        {"%x: f32[2,3]", "@a: s64[1] = [2] %y = ReduceMean(%x, @a)", "error: axis in [-2, 1]"},
        {"%x: f32[2,3]", "@a: s64[2] = [1,-1] %y = ReduceMean(%x, @a)", "error: distinct"},
        {"%x: f32[2,3], %a: s64[1000000000000]", "%y = ReduceMax(%x, %a) {keepdims=0}", "error: at most 64"},
        {"%x: f32[N,1000]", "%y = Softmax(%x)", "f32[N,1000]"},
        {"%x: f32[N,1000]", "%y = Softmax(%x) {axis=2}", "error: axis"},
        {"%x: f32[N,1000]", "%y = ArgMax(%x) {axis=1, keepdims=0}", "s64[N]"},
        {"%x: f32[N,1000]", "%y = ArgMin(%x)", "s64[1,1000]"},
        {"%x: f32[N,1000]", "@k: s64[1] = [5] %v, %i = TopK(%x, @k)", "f32[N,5] s64[N,5]"},
        {"%x: f32[N,1000], %k: s64[1]", "%v, %i = TopK(%x, %k)", "f32[N,?] s64[N,?]"},
        {"%x: f32[N,3]", "@k: s64[1] = [5] %v, %i = TopK(%x, @k)", "error: K between"},
        {"%x: f32[N,3]", "@k: s64[1] = [-5] %v, %i = TopK(%x, @k)", "error: K between"},
        {"%x: f32[2,3]", "@a: s64[] = [1] %y = CumSum(%x, @a)", "f32[2,3]"},
    });

}  // namespace
}  // namespace narrow::ir::ops
