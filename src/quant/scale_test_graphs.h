// For tests: small graphs of the patterns that scale factors pass, or must not pass.
#pragma once

#include <set>

#include "runtime/test_graphs.h"

namespace narrow::quant {

struct ScaleCase {
  std::string name;
  /// Values that are divided by factors, group by group (any order within).
  std::vector<std::set<std::string>> groups;
  std::string text;
};

inline std::vector<ScaleCase> scale_cases() {
  return {
      {"dense", {{"a", "b"}}, R"(graph g(%x: f32[N,3,6,6]) {
  @w1: f32[4,3,3,3] = blob 0 432
  @b1: f32[4] = blob 512 16
  @w2: f32[5,4,3,3] = blob 1024 720
  %a = Conv(%x, @w1, @b1) {pads=[1,1,1,1]}
  %b = Relu(%a)
  %y = Conv(%b, @w2) {pads=[1,1,1,1]}
  return %y as "y"
}
)"},
      {"depthwise_chain", {{"a", "b", "p"}, {"c", "d"}}, R"(graph g(%x: f32[N,3,6,6]) {
  @w1: f32[4,3,1,1] = blob 0 48
  @w2: f32[8,1,3,3] = blob 1024 288
  @b2: f32[8] = blob 2048 32
  @w3: f32[5,8,1,1] = blob 3072 160
  @s: f32[4,1,1] = blob 4096 16
  %a = Conv(%x, @w1)
  %b = PRelu(%a, @s)
  %p = MaxPool(%b) {kernel_shape=[2,2]}
  %c = Conv(%p, @w2, @b2) {group=4, pads=[1,1,1,1]}
  %d = LeakyRelu(%c) {alpha=0.1}
  %y = Conv(%d, @w3)
  return %y as "y"
}
)"},
      {"grouped", {{"a", "b"}}, R"(graph g(%x: f32[N,4,5,5]) {
  @w1: f32[6,2,3,3] = blob 0 432
  @w2: f32[4,3,1,1] = blob 1024 48
  %a = Conv(%x, @w1) {group=2}
  %b = Relu(%a)
  %y = Conv(%b, @w2) {group=2}
  return %y as "y"
}
)"},
      {"two_layers_read_it", {{"a"}}, R"(graph g(%x: f32[N,3,5,5]) {
  @w1: f32[4,3,1,1] = blob 0 48
  @w2: f32[5,4,1,1] = blob 1024 80
  @w3: f32[5,4,3,3] = blob 2048 720
  %a = Conv(%x, @w1)
  %c = Conv(%a, @w2)
  %d = Conv(%a, @w3) {pads=[1,1,1,1]}
  %y = Add(%c, %d)
  return %y as "y"
}
)"},
      {"a_sigmoid_reads_it", {}, R"(graph g(%x: f32[N,3,5,5]) {
  @w1: f32[4,3,1,1] = blob 0 48
  @w2: f32[5,4,1,1] = blob 1024 80
  %a = Conv(%x, @w1)
  %s = Sigmoid(%a)
  %b = Mul(%a, %s)
  %y = Conv(%b, @w2)
  return %y as "y"
}
)"},
      {"a_result_of_the_model", {}, R"(graph g(%x: f32[N,3,5,5]) {
  @w1: f32[4,3,1,1] = blob 0 48
  @w2: f32[5,4,1,1] = blob 1024 80
  %a = Conv(%x, @w1)
  %b = Relu(%a)
  %y = Conv(%b, @w2)
  return %y as "y", %b as "b"
}
)"},
      {"hard_swish", {}, R"(graph g(%x: f32[N,3,5,5]) {
  @w3: f32[4,4,1,1] = blob 2048 64
  @w1: f32[4,3,1,1] = blob 0 48
  @w2: f32[5,4,1,1] = blob 1024 80
  @two: f32[] = [2]
  %a = Conv(%x, @w1)
  %b = HardSwish(%a)
  %c = Conv(%b, @w3)
  %d = Max(%c, @two)
  %y = Conv(%d, @w2)
  return %y as "y"
}
)"},
      {"residual", {{"a", "b", "d", "e", "f"}, {"c1", "c2"}}, R"(graph g(%x: f32[N,3,5,5]) {
  @w1: f32[4,3,1,1] = blob 0 48
  @w2: f32[6,4,3,3] = blob 1024 864
  @w3: f32[4,6,3,3] = blob 2048 864
  @w4: f32[2,4,1,1] = blob 3072 32
  %a = Conv(%x, @w1)
  %b = Relu(%a)
  %c1 = Conv(%b, @w2) {pads=[1,1,1,1]}
  %c2 = Relu(%c1)
  %d = Conv(%c2, @w3) {pads=[1,1,1,1]}
  %e = Add(%d, %b)
  %f = Relu(%e)
  %y = Conv(%f, @w4)
  return %y as "y"
}
)"},
      {"concat_and_pools", {{"a", "b", "c", "d", "e"}}, R"(graph g(%x: f32[N,3,6,6]) {
  @w1: f32[4,3,1,1] = blob 0 48
  @w2: f32[2,3,3,3] = blob 1024 216
  @w3: f32[5,6,1,1] = blob 2048 120
  %a = Conv(%x, @w1)
  %b = AveragePool(%a) {kernel_shape=[3,3], pads=[1,1,1,1]}
  %c = Conv(%x, @w2) {pads=[1,1,1,1]}
  %d = Relu(%c)
  %e = Concat(%b, %d) {axis=1}
  %y = Conv(%e, @w3)
  return %y as "y"
}
)"},
      {"concat_with_the_input", {{"a", "b"}}, R"(graph g(%x: f32[N,3,6,6]) {
  @w1: f32[4,3,1,1] = blob 0 48
  @w3: f32[5,7,1,1] = blob 2048 140
  %a = Conv(%x, @w1)
  %b = Concat(%x, %a) {axis=1}
  %y = Conv(%b, @w3)
  return %y as "y"
}
)"},
      {"shuffle", {{"a", "r", "t", "s", "p", "q", "g", "h", "j"}}, R"(graph g(%x: f32[1,3,4,4]) {
  @w1: f32[6,3,1,1] = blob 0 72
  @w2: f32[2,3,1,1] = blob 1024 24
  @w3: f32[2,9,1,1] = blob 2048 72
  @split: s64[5] = [1,2,3,4,4]
  @join: s64[4] = [1,-1,4,4]
  @pick: s64[3] = [5,0,-2]
  @bits: s64[2] = [2,4]
  @from: s64[1] = [3]
  @to: s64[1] = [-100]
  @axis: s64[1] = [1]
  @back: s64[1] = [-1]
  %a = Conv(%x, @w1)
  %r = Reshape(%a, @split)
  %t = Transpose(%r) {perm=[0,2,1,3,4]}
  %s = Reshape(%t, @join)
  %p, %q = Split(%s, @bits) {axis=1}
  %g = Gather(%s, @pick) {axis=1}
  %h = Slice(%q, @from, @to, @axis, @back)
  %j = Concat(%p, %g, %h) {axis=1}
  %y = Conv(%j, @w3)
  return %y as "y"
}
)"},
      {"pooled_into_gemm", {{"a", "b", "c", "d"}, {"e", "f"}}, R"(graph g(%x: f32[N,3,5,5]) {
  @w1: f32[4,3,3,3] = blob 0 432
  @w2: f32[6,4] = blob 1024 96
  @b2: f32[1,6] = blob 2048 24
  @w3: f32[6,2] = blob 3072 48
  @b3: f32[] = [0.5]
  %a = Conv(%x, @w1)
  %b = Relu(%a)
  %c = GlobalAveragePool(%b)
  %d = Flatten(%c)
  %e = Gemm(%d, @w2, @b2) {transB=1, alpha=0.5, beta=2.0}
  %f = LeakyRelu(%e) {alpha=0.2}
  %y = Gemm(%f, @w3, @b3)
  return %y as "y"
}
)"},
      {"pixels_into_gemm", {{"a", "b", "c"}}, R"(graph g(%x: f32[N,3,3,3]) {
  @w1: f32[2,3,1,1] = blob 0 24
  @w2: f32[18,4] = blob 1024 288
  %a = Conv(%x, @w1)
  %b = Relu(%a)
  %c = Flatten(%b)
  %y = Gemm(%c, @w2)
  return %y as "y"
}
)"},
      {"squeeze_and_excite", {{"a", "b", "p", "t"}, {"q", "r"}}, R"(graph g(%x: f32[N,3,5,5]) {
  @w1: f32[4,3,1,1] = blob 0 48
  @w2: f32[2,4,1,1] = blob 1024 32
  @w3: f32[4,2,1,1] = blob 2048 32
  @w4: f32[5,4,1,1] = blob 3072 80
  %a = Conv(%x, @w1)
  %b = Relu(%a)
  %p = GlobalAveragePool(%b)
  %q = Conv(%p, @w2)
  %r = Relu(%q)
  %s = Conv(%r, @w3)
  %g = Sigmoid(%s)
  %t = Mul(%b, %g)
  %y = Conv(%t, @w4)
  return %y as "y"
}
)"},
      {"layer_norm_and_heads", {{"n"}, {"v1", "v2", "v3", "o1", "o2", "o3"}}, R"(graph g(%x: f32[1,6,8]) {
  @gamma: f32[8] = blob 0 32
  @beta: f32[8] = blob 64 32
  @wq: f32[8,8] = blob 1024 256
  @wk: f32[8,8] = blob 2048 256
  @wv: f32[8,8] = blob 3072 256
  @wo: f32[8,8] = blob 4096 256
  @bo: f32[8] = blob 5120 32
  @heads: s64[4] = [1,6,2,4]
  @flat: s64[3] = [1,6,8]
  %n = LayerNormalization(%x, @gamma, @beta) {axis=-1, epsilon=1e-05}
  %q1 = MatMul(%n, @wq)
  %k1 = MatMul(%n, @wk)
  %v1 = MatMul(%n, @wv)
  %q2 = Reshape(%q1, @heads)
  %k2 = Reshape(%k1, @heads)
  %v2 = Reshape(%v1, @heads)
  %q3 = Transpose(%q2) {perm=[0,2,1,3]}
  %k3 = Transpose(%k2) {perm=[0,2,3,1]}
  %v3 = Transpose(%v2) {perm=[0,2,1,3]}
  %l = MatMul(%q3, %k3)
  %m = Softmax(%l) {axis=-1}
  %o1 = MatMul(%m, %v3)
  %o2 = Transpose(%o1) {perm=[0,2,1,3]}
  %o3 = Reshape(%o2, @flat)
  %o4 = MatMul(%o3, @wo)
  %o5 = Add(%o4, @bo)
  %y = Add(%x, %o5)
  return %y as "y"
}
)"},
      {"shared_heads",
       {{"v1", "v2", "v3", "v4", "v5", "v6", "o1", "o2", "o3"}},
       R"(graph g(%x: f32[N,T,6], %m: f32[N,4,T,T]) {
  @wv: f32[6,6] = blob 3072 144
  @wo: f32[12,5] = blob 4096 240
  @heads: s64[4] = [0,0,2,3]
  @axis: s64[1] = [3]
  @twice: s64[5] = [1,1,1,2,1]
  @joined: s64[4] = [0,0,4,3]
  @flat: s64[3] = [0,0,12]
  %v1 = MatMul(%x, @wv)
  %v2 = Reshape(%v1, @heads)
  %v3 = Unsqueeze(%v2, @axis)
  %v4 = Expand(%v3, @twice)
  %v5 = Reshape(%v4, @joined)
  %v6 = Transpose(%v5) {perm=[0,2,1,3]}
  %o1 = MatMul(%m, %v6)
  %o2 = Transpose(%o1) {perm=[0,2,1,3]}
  %o3 = Reshape(%o2, @flat)
  %y = MatMul(%o3, @wo)
  return %y as "y"
}
)"},
      {"rms_norm_and_gated_unit", {{"n"}, {"u", "p"}}, R"(graph g(%x: f32[N,T,8]) {
  @two: f32[] = [2]
  @last: s64[1] = [-1]
  @eps: f32[] = [1e-05]
  @gamma: f32[8] = blob 0 32
  @w1: f32[8,12] = blob 1024 384
  @w3: f32[8,12] = blob 2048 384
  @w2: f32[12,8] = blob 3072 384
  %q = Pow(%x, @two)
  %e = ReduceMean(%q, @last) {keepdims=1}
  %f = Add(%e, @eps)
  %r = Sqrt(%f)
  %d = Div(%x, %r)
  %n = Mul(%d, @gamma)
  %g = MatMul(%n, @w1)
  %s = Sigmoid(%g)
  %h = Mul(%g, %s)
  %u = MatMul(%n, @w3)
  %p = Mul(%h, %u)
  %z = MatMul(%p, @w2)
  %y = Add(%x, %z)
  return %y as "y"
}
)"},
      {"bias_behind_a_matmul", {{"a", "b", "c"}, {"d0", "d1"}, {"d", "e", "f"}}, R"(graph g(%x: f32[N,T,6]) {
  @w1: f32[6,8] = blob 0 192
  @b1: f32[8] = blob 512 32
  @c1: f32[8] = blob 1536 32
  @w2: f32[8,3] = blob 1024 96
  @w3: f32[3,5] = blob 2048 60
  @half: f32[] = [0.5]
  @zero: f32[] = [0]
  %a = MatMul(%x, @w1)
  %b = Add(@b1, %a)
  %c = Mul(%b, @half)
  %d0 = Mul(%c, @c1)
  %d1 = Relu(%d0)
  %d = MatMul(%d1, @w2)
  %e = Max(%d, @zero)
  %f = Div(%e, @half)
  %y = MatMul(%f, @w3)
  return %y as "y"
}
)"},
      {"pixels_and_depth", {{"a", "b"}, {"c", "d", "e", "f"}}, R"(graph g(%x: f32[1,3,4,4]) {
  @w1: f32[8,3,1,1] = blob 0 96
  @w2: f32[4,2,3,3] = blob 1024 288
  @w3: f32[3,16,1,1] = blob 2048 192
  @pads: s64[8] = [0,0,1,1,0,0,1,1]
  @scales: f32[4] = [1,1,2,2]
  %a = Conv(%x, @w1)
  %b = DepthToSpace(%a) {blocksize=2, mode="CRD"}
  %c = Conv(%b, @w2)
  %d = Pad(%c, @pads)
  %e = Resize(%d, -, @scales) {mode="linear"}
  %f = SpaceToDepth(%e) {blocksize=2}
  %y = Conv(%f, @w3)
  return %y as "y"
}
)"},
      {"pixels_depth_first", {{"a", "b"}}, R"(graph g(%x: f32[1,3,4,4]) {
  @w1: f32[8,3,1,1] = blob 0 96
  @w2: f32[4,2,3,3] = blob 1024 288
  %a = Conv(%x, @w1)
  %b = DepthToSpace(%a) {blocksize=2, mode="DCR"}
  %y = Conv(%b, @w2)
  return %y as "y"
}
)"},
      {"unequal_bounds", {{"a", "b"}}, R"(graph g(%x: f32[N,3,5,5]) {
  @w1: f32[4,3,1,1] = blob 0 48
  @w2: f32[5,4,1,1] = blob 1024 80
  @zero: f32[] = [0]
  @six: f32[] = [6]
  %a = Conv(%x, @w1)
  %b = Clip(%a, @zero, @six)
  %y = Conv(%b, @w2)
  return %y as "y"
}
)"},
  };
}

}  // namespace narrow::quant
