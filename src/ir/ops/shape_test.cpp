#include "ir/ops/schema_case.h"

namespace narrow::ir::ops {
namespace {

NARROW_SCHEMA_CASES(
    ReshapeSchema,
    {
        {"%x: f32[2,3,4]", "@s: s64[2] = [6,4] %y = Reshape(%x, @s)", "f32[6,4]"},
        {"%x: f32[2,3,4]", "@s: s64[2] = [0,-1] %y = Reshape(%x, @s)", "f32[2,12]"},
        {"%x: f32[N,512,1,1]", "@s: s64[2] = [-1,512] %y = Reshape(%x, @s)", "f32[N,512]"},
        {"%x: f32[N,512,7,7]", "@s: s64[2] = [0,-1] %y = Reshape(%x, @s)", "f32[N,25088]"},
        {"%x: f32[N,S,768]", "@s: s64[4] = [0,0,12,64] %y = Reshape(%x, @s)", "f32[N,S,12,64]"},
        {"%x: f32[N,S,768]", "@s: s64[2] = [-1,768] %y = Reshape(%x, @s)", "f32[?,768]"},
        {"%x: f32[2,3], %s: s64[4]", "%y = Reshape(%x, %s)", "f32[?,?,?,?]"},
        {"%x: f32[2,3], %s: s64[K]", "%y = Reshape(%x, %s)", "f32"},
        {"%x: f32", "@s: s64[3] = [0,-1,5] %y = Reshape(%x, @s)", "f32[?,?,5]"},
        {"%x: f32[0,3]", "@s: s64[2] = [3,0] %y = Reshape(%x, @s) {allowzero=1}", "f32[3,0]"},
        {"%x: u8[4]<0.5,3>", "@s: s64[2] = [2,2] %y = Reshape(%x, @s)", "u8[2,2]<0.5,3>"},
        {"%x: f32[2,3,4]", "@s: s64[2] = [5,4] %y = Reshape(%x, @s)", "error: as many elements"},
        {"%x: f32[2,3,4]", "@s: s64[2] = [5,-1] %y = Reshape(%x, @s)", "error: fill"},
        {"%x: f32[2,3,4]", "@s: s64[2] = [-1,-1] %y = Reshape(%x, @s)", "error: at most one -1"},
        {"%x: f32[2,3]", "@s: s64[3] = [1,2,0] %y = Reshape(%x, @s)", "error: 0 where the input has a dim"},
        {"%x: f32[N]", "@s: s64[2] = [9223372036854775807,9223372036854775807] %y = Reshape(%x, @s)",
         "error: 63 bits"},
        {"%x: f32[2,3], %s: s64[99]", "%y = Reshape(%x, %s)", "error: at most 64"},
        {"%x: f32[N,3,4,5]", "%y = Flatten(%x)", "f32[N,60]"},
        {"%x: f32[N,C,1,1]", "%y = Flatten(%x)", "f32[N,C]"},
        {"%x: f32[2,3]", "%y = Flatten(%x) {axis=0}", "f32[1,6]"},
        {"%x: f32[2,3]", "%y = Flatten(%x) {axis=3}", "error: axis"},
        {"%x: f32[1,N,1]", "@a: s64[2] = [0,-1] %y = Squeeze(%x, @a)", "f32[N]"},
        {"%x: f32[1,2,1]", "%y = Squeeze(%x)", "f32[2]"},
        {"%x: f32[1,N,1]", "%y = Squeeze(%x)", "f32"},
        {"%x: f32[1,2]", "@a: s64[1] = [1] %y = Squeeze(%x, @a)", "error: length 1"},
        {"%x: f32[2,3]", "@a: s64[2] = [0,-1] %y = Unsqueeze(%x, @a)", "f32[1,2,3,1]"},
        {"%x: f32[2,3]", "@a: s64[2] = [3,1] %y = Unsqueeze(%x, @a)", "f32[2,1,3,1]"},
        {"%x: f32[2,3], %a: s64[1]", "%y = Unsqueeze(%x, %a)", "f32[?,?,?]"},
        {"%x: f32[A,B,C]", "%y = Transpose(%x) {perm=[2,0,1]}", "f32[C,A,B]"},
        {"%x: f32[A,B,C]", "%y = Transpose(%x)", "f32[C,B,A]"},
        {"%x: f32[A,B,C]", "%y = Transpose(%x) {perm=[2,0,0]}", "error: permutation"},
        {"%x: f32[3,1]", "@s: s64[3] = [2,1,6] %y = Expand(%x, @s)", "f32[2,3,6]"},
        {"%x: f32[3,1], %s: s64[3]", "%y = Expand(%x, %s)", "f32[?,?,?]"},
        {"%x: f32[3]", "@s: s64[1] = [-1] %y = Expand(%x, @s)", "error: dims >= 0"},
    });

NARROW_SCHEMA_CASES(
    ShapeSchema,
    {
        {"%x: f32[N,3,224,?]", "%y = Shape(%x)", "s64[4]"},
        {"%x: f32[N,3,224,?]", "%y = Shape(%x) {start=1, end=-1}", "s64[2]"},
        {"%x: f32[N,3,224,?]", "%y = Shape(%x) {start=-9, end=99}", "s64[4]"},
        {"%x: f32[N,3,224,?]", "%y = Shape(%x) {start=3, end=1}", "s64[0]"},
        {"%x: f32", "%y = Shape(%x)", "s64[?]"},
        {"%x: f32[N]", "%y = Size(%x)", "s64[]"},
        {"%x: f32[N]", "%y = Cast(%x) {to=7}", "s64[N]"},
        {"%x: f32[N]", "%y = Cast(%x) {to=8}", "error: ONNX element type"},
        {"%x: f32[N], %t: bf16", "%y = CastLike(%x, %t)", "bf16[N]"},
        {"", "%y = Constant() {value=u8[2] [1,2]}", "u8[2]"},
        {"", "%y = Constant() {value_floats=[1.0,2.0]}", "f32[2]"},
        {"", "%y = Constant() {value_int=3}", "s64[]"},
        {"", "%y = Constant()", "error: value"},
        {"", "@s: s64[2] = [2,3] %y = ConstantOfShape(@s)", "f32[2,3]"},
        {"", "@s: s64[0] = [] %y = ConstantOfShape(@s) {value=s64[1] [7]}", "s64[]"},
        {"%s: s64[2]", "%y = ConstantOfShape(%s)", "f32[?,?]"},
        {"", "@s: s64[1] = [-2] %y = ConstantOfShape(@s)", "error: dims >= 0"},
        {"", "@a: s64[] = [1] @b: s64[] = [8] @c: s64[] = [3] %y = Range(@a, @b, @c)", "s64[3]"},
        {"", "@a: s64[] = [8] @b: s64[] = [1] @c: s64[] = [-3] %y = Range(@a, @b, @c)", "s64[3]"},
        {"", "@a: f32[] = [0] @b: f32[] = [1] @c: f32[] = [0.3] %y = Range(@a, @b, @c)", "f32[4]"},
        {"", "@a: s64[] = [0] @b: s64[] = [1] @c: s64[] = [0] %y = Range(@a, @b, @c)", "error: delta"},
        {"", "@a: f32[] = [0] @b: f32[] = [nan] @c: f32[] = [1] %y = Range(@a, @b, @c)", "error: finite"},
        {"%a: s64[], %b: s64[], %c: s64[]", "%y = Range(%a, %b, %c)", "s64[?]"},
        {"%x: f32[2,N]", "%y = EyeLike(%x) {dtype=6}", "s32[2,N]"},
        {"%x: f32[2,N]", "%y, %m = Dropout(%x)", "f32[2,N] bool[2,N]"},
        {"%x: u8[2]<0.5,1>", "%y = Identity(%x)", "u8[2]<0.5,1>"},
    });

}  // namespace
}  // namespace narrow::ir::ops
