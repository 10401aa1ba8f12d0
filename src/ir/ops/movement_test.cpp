#include "ir/ops/schema_case.h"

namespace narrow::ir::ops {
namespace {

NARROW_SCHEMA_CASES(
    MovementSchema,
    {
        {"%a: f32[N,3,5], %b: f32[?,4,5]", "%y = Concat(%a, %b) {axis=1}", "f32[N,7,5]"},
        {"%a: f32[N,3], %b: f32[N,C]", "%y = Concat(%a, %b) {axis=-1}", "f32[N,?]"},
        {"%a: f32, %b: f32[2,3]", "%y = Concat(%a, %b) {axis=0}", "f32[?,3]"},
        {"%a: u8[2]<0.5,1>, %b: u8[3]<0.5,1>", "%y = Concat(%a, %b) {axis=0}", "u8[5]<0.5,1>"},
        {"%a: u8[2]<0.5,1>, %b: u8[3]<0.25,1>", "%y = Concat(%a, %b) {axis=0}", "u8[5]"},
        {"%a: f32[2,3], %b: f32[3,3]", "%y = Concat(%a, %b) {axis=1}", "error: equal dims"},
        {"%a: f32[2,3], %b: f32[2]", "%y = Concat(%a, %b) {axis=1}", "error: rank 2"},
        {"%a: f32[2,3]", "%y = Concat(%a)", "error: axis"},
        {"%x: f32[N,7]", "%a, %b, %c = Split(%x) {axis=1, num_outputs=3}", "f32[N,3] f32[N,3] f32[N,1]"},
        {"%x: f32[N,7]", "@s: s64[2] = [3,4] %a, %b = Split(%x, @s) {axis=-1}", "f32[N,3] f32[N,4]"},
        {"%x: u8[N,5]<1;2,2,3,4,4;7,7,7,7,7>", "@s: s64[3] = [2,2,1] %a, %b, %c = Split(%x, @s) {axis=-1}",
         "u8[N,2]<2,7> u8[N,2]<1;3,4;7,7> u8[N,1]<4,7>"},
        {"%x: f32[N,7], %s: s64[2]", "%a, %b = Split(%x, %s) {axis=-1}", "f32[N,?] f32[N,?]"},
        {"%x: f32[N,7]", "@s: s64[2] = [3,3] %a, %b = Split(%x, @s) {axis=-1}", "error: add up"},
        {"%x: f32[N,7]", "@s: s64[2] = [8,-1] %a, %b = Split(%x, @s) {axis=-1}", "error: sizes >= 0"},
        {"%x: f32[N,7]", "%a, %b = Split(%x) {num_outputs=3}", "error: num_outputs"},
        {"%x: f32[2,3]", "@r: s64[2] = [1,4] %y = Tile(%x, @r)", "f32[2,12]"},
        {"%x: f32[N,M]", "@r: s64[2] = [1,4] %y = Tile(%x, @r)", "f32[N,?]"},
        {"%x: f32[2,3]", "@r: s64[2] = [1,9223372036854775807] %y = Tile(%x, @r)", "error: 63 bits"},
        {"%x: f32[2,3]", "@r: s64[1] = [1] %y = Tile(%x, @r)", "error: rank 1"},
        {"%x: f32[1,12,2,3]", "%y = DepthToSpace(%x) {blocksize=2}", "f32[1,3,4,6]"},
        {"%x: f32[1,2,3,12]", "%y = DepthToSpace(%x) {blocksize=2, channels_last=1}", "f32[1,4,6,3]"},
        {"%x: f32[1,3,4,6]", "%y = SpaceToDepth(%x) {blocksize=2}", "f32[1,12,2,3]"},
        {"%x: f32[1,6,2,3]", "%y = DepthToSpace(%x) {blocksize=2}", "error: divisible"},
        {"%x: f32[1,6,2,3]", "%y = DepthToSpace(%x)", "error: blocksize"},
        {"%x: f32[N,4,4]", "%y = Trilu(%x)", "f32[N,4,4]"},
    });

NARROW_SCHEMA_CASES(
    SliceSchema,
    {
        {"%x: f32[10,20]",
         "@s: s64[1] = [2] @e: s64[1] = [9] @a: s64[1] = [-1] @t: s64[1] = [3] %y = Slice(%x, @s, @e, @a, "
         "@t)",
         "f32[10,3]"},
        {"%x: f32[10]", "@s: s64[1] = [-3] @e: s64[1] = [9223372036854775807] %y = Slice(%x, @s, @e)",
         "f32[3]"},
        {"%x: f32[10]",
         "@s: s64[1] = [-1] @e: s64[1] = [-9223372036854775808] @a: s64[1] = [0] @t: s64[1] = [-2] %y = "
         "Slice(%x, @s, @e, @a, @t)",
         "f32[5]"},
        {"%x: f32[10]",
         "@s: s64[1] = [9] @e: s64[1] = [-11] @a: s64[1] = [0] @t: s64[1] = [-9223372036854775808] %y = "
         "Slice(%x, @s, @e, @a, @t)",
         "f32[1]"},
        {"%x: f32[10]", "@s: s64[1] = [7] @e: s64[1] = [3] %y = Slice(%x, @s, @e)", "f32[0]"},
        {"%x: f32[N,C]",
         "@s: s64[1] = [0] @e: s64[1] = [9223372036854775807] @a: s64[1] = [1] %y = Slice(%x, @s, @e, @a)",
         "f32[N,C]"},
        {"%x: f32[N,C]",
         "@s: s64[1] = [1] @e: s64[1] = [9223372036854775807] @a: s64[1] = [1] %y = Slice(%x, @s, @e, @a)",
         "f32[N,?]"},
        {"%x: f32[4,C], %s: s64[1], %e: s64[1]", "@a: s64[1] = [0] %y = Slice(%x, %s, %e, @a)", "f32[?,C]"},
        {"%x: f32[4,C], %s: s64[K], %e: s64[K]", "%y = Slice(%x, %s, %e)", "f32[?,?]"},
        {"%x: f32[10]",
         "@s: s64[1] = [0] @e: s64[1] = [5] @a: s64[1] = [0] @t: s64[1] = [0] %y = Slice(%x, @s, @e, @a, @t)",
         "error: steps"},
        {"%x: f32[10]", "@s: s64[1] = [0] @e: s64[2] = [5,6] %y = Slice(%x, @s, @e)", "error: starts, ends"},
        {"%x: f32[10]", "@s: s64[2] = [0,0] @e: s64[2] = [5,6] %y = Slice(%x, @s, @e)",
         "error: no more starts"},
        {"%x: f32[1,3,4,4]", "@p: s64[8] = [0,0,1,1,0,0,2,2] %y = Pad(%x, @p)", "f32[1,3,7,7]"},
        {"%x: f32[N,H]", "@p: s64[2] = [1,1] @a: s64[1] = [1] %y = Pad(%x, @p, -, @a)", "f32[N,?]"},
        {"%x: f32[5]", "@p: s64[2] = [-2,-1] %y = Pad(%x, @p)", "f32[2]"},
        {"%x: f32[5]", "@p: s64[2] = [-3,-3] %y = Pad(%x, @p)", "error: size >= 0"},
        {"%x: f32[5]", "@p: s64[2] = [9223372036854775807,9223372036854775807] %y = Pad(%x, @p)",
         "error: size >= 0"},
        {"%x: f32[5]", "@p: s64[1] = [1] %y = Pad(%x, @p)", "error: 2 pads"},
        {"%x: f32[5,N], %p: s64[4]", "%y = Pad(%x, %p)", "f32[?,?]"},
    });

NARROW_SCHEMA_CASES(
    GatherSchema,
    {
        {"%x: f32[30522,768], %i: s64[N,S]", "%y = Gather(%x, %i)", "f32[N,S,768]"},
        {"%x: f32[2,3,4], %i: s64[]", "%y = Gather(%x, %i) {axis=1}", "f32[2,4]"},
        {"%x: f32[2,3,4], %i: s64[]", "%y = Gather(%x, %i) {axis=3}", "error: axis"},
        {"%x: f32[2,3], %i: f32[2]", "%y = Gather(%x, %i)", "error: input 1 (indices)"},
        {"%x: f32[2,3], %i: s64[2,1]", "%y = GatherElements(%x, %i) {axis=1}", "f32[2,1]"},
        {"%x: f32[2,3], %i: s64[2]", "%y = GatherElements(%x, %i)", "error: rank"},
        {"%x: f32[2,3,4], %i: s64[5,2]", "%y = GatherND(%x, %i)", "f32[5,4]"},
        {"%x: f32[2,3,4], %i: s64[2,1]", "%y = GatherND(%x, %i) {batch_dims=1}", "f32[2,4]"},
        {"%x: f32[2,3,4], %i: s64[2,4]", "%y = GatherND(%x, %i)", "error: index tuples"},
        {"%x: f32[2,3], %i: s64[1,2], %u: f32[1,2]", "%y = ScatterElements(%x, %i, %u)", "f32[2,3]"},
        {"%x: f32[2,3], %i: s64[1,2], %u: f32[1,3]", "%y = ScatterElements(%x, %i, %u)", "error: updates"},
        {"%x: f32[4,3], %i: s64[2,1], %u: f32[2,3]", "%y = ScatterND(%x, %i, %u)", "f32[4,3]"},
        {"%x: f32[4,3], %i: s64[2,3], %u: f32[2]", "%y = ScatterND(%x, %i, %u)", "error: index tuples"},
        {"%i: s64[N]", "@d: s64[] = [10] @v: f32[2] = [0,1] %y = OneHot(%i, @d, @v)", "f32[N,10]"},
        {"%i: s64[N]", "@d: s64[] = [10] @v: f32[2] = [0,1] %y = OneHot(%i, @d, @v) {axis=0}", "f32[10,N]"},
    });

NARROW_SCHEMA_CASES(
    ResizeSchema,
    {
        {"%x: f32[1,3,8,8]", "@s: f32[4] = [1,1,2,2.5] %y = Resize(%x, -, @s)", "f32[1,3,16,20]"},
        {"%x: f32[N,3,H,8]", "@s: f32[4] = [1,1,2,2] %y = Resize(%x, -, @s)", "f32[N,3,?,16]"},
        {"%x: f32[N,3,8,8]", "@e: f32[0] = [] @s: s64[4] = [1,3,5,6] %y = Resize(%x, @e, @e, @s)",
         "f32[1,3,5,6]"},
        {"%x: f32[N,8,6,3]", "@s: s64[2] = [4,6] %y = Resize(%x, -, -, @s) {axes=[1,2]}", "f32[N,4,6,3]"},
        {"%x: f32[8,4]",
         R"(@s: s64[2] = [4,4] %y = Resize(%x, -, -, @s) {keep_aspect_ratio_policy="not_larger"})",
         "f32[4,2]"},
        {"%x: f32[8,4]",
         R"(@s: s64[2] = [4,4] %y = Resize(%x, -, -, @s) {keep_aspect_ratio_policy="not_smaller"})",
         "f32[8,4]"},
        {"%x: f32[N,4], %s: f32[2]", "%y = Resize(%x, -, %s)", "f32[?,?]"},
        {"%x: f32[8,4]", "%y = Resize(%x)", "error: scales or sizes"},
        {"%x: f32[8,4]", "@s: f32[2] = [1,0] %y = Resize(%x, -, @s)", "error: scales > 0"},
        {"%x: f32[8,4]", "@s: f32[2] = [1,1e38] %y = Resize(%x, -, @s)", "error: fits in 62 bits"},
        {"%x: f32[8,4]", "@s: f32[1] = [1] %y = Resize(%x, -, @s)", "error: 2 scales"},
    });

}  // namespace
}  // namespace narrow::ir::ops
