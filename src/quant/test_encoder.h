// A small encoder for tests: one block between two products, its norms and attention as operators of their
// own or in primitive ones.
#pragma once

#include <string>

#include "runtime/test_graphs.h"

namespace narrow::testing_graphs {

/// A layer norm of `x` that makes `y`; its inner values are called y_mean, y_centred, ...
inline std::string norm_text(const std::string& x, const std::string& y, bool primitive) {
  if (!primitive)
    return "  %" + y + " = LayerNormalization(%" + x + ", @gamma, @beta) {axis=-1, epsilon=1e-05}\n";
  const std::string v = "  %" + y + "_";
  return v + "mean = ReduceMean(%" + x + ", @last) {keepdims=1}\n" +             //
         v + "centred = Sub(%" + x + ", %" + y + "_mean)\n" +                    //
         v + "square = Mul(%" + y + "_centred, %" + y + "_centred)\n" +          //
         v + "variance = ReduceMean(%" + y + "_square, @last) {keepdims=1}\n" +  //
         v + "above = Add(%" + y + "_variance, @epsilon)\n" +                    //
         v + "deviation = Sqrt(%" + y + "_above)\n" +                            //
         v + "normal = Div(%" + y + "_centred, %" + y + "_deviation)\n" +        //
         v + "scaled = Mul(%" + y + "_normal, @gamma)\n" +                       //
         "  %" + y + " = Add(%" + y + "_scaled, @beta)\n";
}

/// Layers in, q1, k1, v1, o4, h1, h4, out; norms n, m, z; attention o1. Residual sums r1 and r2.
inline ir::Graph encoder(bool primitive) {
  const std::string attention = primitive ? R"(  %k4 = Transpose(%k3) {perm=[0,1,3,2]}
  %o1_scores = MatMul(%q3, %k4)
  %o1_scaled = Mul(%o1_scores, @half)
  %o1_shares = Softmax(%o1_scaled) {axis=-1}
  %o1 = MatMul(%o1_shares, %v3)
)"
                                          : "  %o1 = Attention(%q3, %k3, %v3) {scale=0.5}\n";
  return graph_from(R"(graph g(%input: f32[N,6,8]) {
  @gamma: f32[8] = [1,1.25,0.75,1,0.5,1.5,1,1]
  @beta: f32[8] = blob 64 32
  @wi: f32[8,8] = blob 512 256
  @wq: f32[8,8] = blob 1024 256
  @wk: f32[8,8] = blob 2048 256
  @wv: f32[8,8] = blob 3072 256
  @wo: f32[8,8] = blob 4096 256
  @bo: f32[8] = blob 5120 32
  @w1: f32[8,16] = blob 6144 512
  @b1: f32[16] = blob 7168 64
  @w2: f32[16,8] = blob 8192 512
  @last: s64[1] = [-1]
  @epsilon: f32[] = [1e-05]
  @half: f32[] = [0.5]
  @heads: s64[4] = [0,6,2,4]
  @flat: s64[3] = [0,6,8]
  %in = MatMul(%input, @wi)
)" + norm_text("in", "n", primitive) +
                    R"(  %q1 = MatMul(%n, @wq)
  %k1 = MatMul(%n, @wk)
  %v1 = MatMul(%n, @wv)
  %q2 = Reshape(%q1, @heads)
  %k2 = Reshape(%k1, @heads)
  %v2 = Reshape(%v1, @heads)
  %q3 = Transpose(%q2) {perm=[0,2,1,3]}
  %k3 = Transpose(%k2) {perm=[0,2,1,3]}
  %v3 = Transpose(%v2) {perm=[0,2,1,3]}
)" + attention + R"(  %o2 = Transpose(%o1) {perm=[0,2,1,3]}
  %o3 = Reshape(%o2, @flat)
  %o4 = MatMul(%o3, @wo)
  %o5 = Add(%o4, @bo)
  %r1 = Add(%in, %o5)
)" + norm_text("r1", "m", primitive) +
                    R"(  %h1 = MatMul(%m, @w1)
  %h2 = Add(%h1, @b1)
  %h3 = Gelu(%h2)
  %h4 = MatMul(%h3, @w2)
  %r2 = Add(%r1, %h4)
)" + norm_text("r2", "z", primitive) +
                    R"(  %out = MatMul(%z, @wq)
  return %out as "y"
}
)");
}

}  // namespace narrow::testing_graphs
