#include "ir/ops/schema_case.h"

namespace narrow::ir::ops {
namespace {

NARROW_SCHEMA_CASES(
    NormSchema,
    {
        {"%x: f32[N,8,4,4], %p: f32[8]", "%y = BatchNormalization(%x, %p, %p, %p, %p)", "f32[N,8,4,4]"},
        {"%x: f32[N,8,4,4], %p: f32[7]", "%y = BatchNormalization(%x, %p, %p, %p, %p)", "error: shape [8]"},
        {"%x: bf16[N,S,768], %p: f32[768]", "%y = LayerNormalization(%x, %p, %p)", "bf16[N,S,768]"},
        {"%x: f32[N,S,768], %p: f32[768]", "%y, %m, %v = LayerNormalization(%x, %p)",
         "f32[N,S,768] f32[N,S,1] f32[N,S,1]"},
        {"%x: f32[N,S,768], %p: f32[767]", "%y = RMSNormalization(%x, %p)", "error: broadcasts to"},
        {"%x: f32[N,S,768], %p: f32[768]", "%y = LayerNormalization(%x, %p) {axis=3}", "error: axis"},
        {"%x: f32[N,8,4,4], %p: f32[8]", "%y = GroupNormalization(%x, %p, %p) {num_groups=4}",
         "f32[N,8,4,4]"},
        {"%x: f32[N,8,4,4], %p: f32[8]", "%y = GroupNormalization(%x, %p, %p) {num_groups=3}",
         "error: num_groups"},
        {"%x: f32[N,4,4,8], %p: f32[8]", "%y = InstanceNormalization(%x, %p, %p) {channels_last=1}",
         "f32[N,4,4,8]"},
        {"%x: f32[N,8,4,4]", "%y = LRN(%x) {size=5}", "f32[N,8,4,4]"},
        {"%x: f32[N,8,4,4]", "%y = LRN(%x)", "error: size"},
        {"%x: f32[N,8]", "%y = LpNormalization(%x) {p=2}", "f32[N,8]"},
        {"%x: f32[N,8,4,4]", "%y = MeanVarianceNormalization(%x)", "f32[N,8,4,4]"},
    });

NARROW_SCHEMA_CASES(
    AttentionSchema,
    {
        {"%q: f32[B,8,S,64], %k: f32[B,2,T,64], %v: f32[B,2,T,32]", "%y = Attention(%q, %k, %v)",
         "f32[B,8,S,32]"},
        {"%q: f32[B,S,512], %k: f32[B,T,128], %v: f32[B,T,128]",
         "%y = Attention(%q, %k, %v) {q_num_heads=8, kv_num_heads=2}", "f32[B,S,512]"},
        {"%q: f32[1,8,1,64], %k: f32[1,8,1,64], %v: f32[1,8,1,64], %p: f32[1,8,15,64]",
         "%y, %pk, %pv = Attention(%q, %k, %v, -, %p, %p)", "f32[1,8,1,64] f32[1,8,16,64] f32[1,8,16,64]"},
        {"%q: f32[B,S,512], %k: f32[B,T,128], %v: f32[B,T,128]", "%y = Attention(%q, %k, %v)",
         "error: q_num_heads"},
        {"%q: f32[1,3,4,64], %k: f32[1,2,4,64], %v: f32[1,2,4,64]", "%y = Attention(%q, %k, %v)",
         "error: multiple"},
        {"%x: f32[B,8,S,64], %c: f32[B,S,32]", "%y = RotaryEmbedding(%x, %c, %c)", "f32[B,8,S,64]"},
    });

}  // namespace
}  // namespace narrow::ir::ops
