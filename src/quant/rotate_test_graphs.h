// For tests: transformers of a layer, in the forms in which exporters write them.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "runtime/test_graphs.h"

namespace narrow::quant {

enum class NormForm { rms, rms_primitive, layer, layer_primitive };

struct TransformerForm {
  NormForm norm = NormForm::rms;
  bool biases = false;       // behind the products that read normalisations
  bool tied = false;         // the last product reads the table of tokens
  std::string extra = {};    // further nodes
  std::string returns = {};  // further results: ", %a as \"a\""
};

/// %r = norm(%x), of 12 channels.
inline std::string norm_text(NormForm form, const std::string& r, const std::string& x,
                             const std::string& constants) {
  switch (form) {
    case NormForm::rms:
      return fmt::format("  %{0} = RMSNormalization(%{1}, @g{2}) {{axis=-1, epsilon=1e-05}}\n", r, x,
                         constants);
    case NormForm::layer:
      return fmt::format("  %{0} = LayerNormalization(%{1}, @g{2}, @b{2}) {{axis=-1, epsilon=1e-05}}\n", r, x,
                         constants);
    case NormForm::rms_primitive:
    case NormForm::layer_primitive:
      break;
  }
  const bool centred = form == NormForm::layer_primitive;
  std::string text, c = x;
  if (centred) {
    text =
        fmt::format("  %{0}m = ReduceMean(%{1}, @last) {{keepdims=1}}\n  %{0}c = Sub(%{1}, %{0}m)\n", r, x);
    c = r + "c";
  }
  text += fmt::format(
      "  %{0}q = Pow(%{1}, @two)\n  %{0}v = ReduceMean(%{0}q, @last) {{keepdims=1}}\n"
      "  %{0}e = Add(%{0}v, @eps)\n  %{0}s = Sqrt(%{0}e)\n  %{0}d = Div(%{1}, %{0}s)\n",
      r, c);
  return text + (centred
                     ? fmt::format("  %{0}g = Mul(%{0}d, @g{1})\n  %{0} = Add(%{0}g, @b{1})\n", r, constants)
                     : fmt::format("  %{0} = Mul(%{0}d, @g{1})\n", r, constants));
}

/// Tokens and positions of 12 channels; attention of 4 heads of 6 channels that share 2 heads of keys and
/// values; a layer between Relus; 11 results.
inline std::string transformer_text(const TransformerForm& form) {
  const auto product = [&](const std::string& r, const std::string& x, const std::string& w) {
    return form.biases ? fmt::format("  %{0}p = MatMul(%{1}, @w{2})\n  %{0} = Add(%{0}p, @c{2})\n", r, x, w)
                       : fmt::format("  %{0} = MatMul(%{1}, @w{2})\n", r, x, w);
  };
  std::string text = R"(graph g(%t: s64[N,5]) {
  @two: f32[] = [2]
  @last: s64[1] = [-1]
  @eps: f32[] = [1e-05]
  @table: f32[11,12] = blob 0 528
  @pos: f32[5,12] = blob 1024 240
  @g1: f32[12] = blob 1536 48
  @g2: f32[12] = blob 1600 48
  @g3: f32[12] = blob 1664 48
  @b1: f32[12] = blob 1728 48
  @b2: f32[12] = blob 1792 48
  @b3: f32[12] = blob 1856 48
  @wq: f32[12,24] = blob 2048 1152
  @wk: f32[12,12] = blob 4096 576
  @wv: f32[12,12] = blob 6144 576
  @wo: f32[24,12] = blob 8192 1152
  @w1: f32[12,16] = blob 10240 768
  @w2: f32[16,12] = blob 12288 768
  @wh: f32[12,11] = blob 14336 528
  @cq: f32[24] = blob 16384 96
  @ck: f32[12] = blob 16512 48
  @cv: f32[12] = blob 16640 48
  @c1: f32[16] = blob 16768 64
  @c2: f32[12] = blob 16896 48
  @ch: f32[11] = blob 17024 44
  @qheads: s64[4] = [0,0,4,6]
  @heads: s64[4] = [0,0,2,6]
  @axis: s64[1] = [3]
  @twice: s64[5] = [1,1,1,2,1]
  @flat: s64[3] = [0,0,24]
  @rows: s64[2] = [-1,12]
  %e = Gather(@table, %t) {axis=0}
  %x0 = Add(%e, @pos)
)";
  text += norm_text(form.norm, "n1", "x0", "1") + product("q1", "n1", "q") + product("k1", "n1", "k") +
          product("v1", "n1", "v");
  text += R"(  %q2 = Reshape(%q1, @qheads)
  %q3 = Transpose(%q2) {perm=[0,2,1,3]}
  %k2 = Reshape(%k1, @heads)
  %k3 = Unsqueeze(%k2, @axis)
  %k4 = Expand(%k3, @twice)
  %k5 = Reshape(%k4, @qheads)
  %k6 = Transpose(%k5) {perm=[0,2,3,1]}
  %v2 = Reshape(%v1, @heads)
  %v3 = Unsqueeze(%v2, @axis)
  %v4 = Expand(%v3, @twice)
  %v5 = Reshape(%v4, @qheads)
  %v6 = Transpose(%v5) {perm=[0,2,1,3]}
  %l = MatMul(%q3, %k6)
  %m = Softmax(%l) {axis=-1}
  %o1 = MatMul(%m, %v6)
  %o2 = Transpose(%o1) {perm=[0,2,1,3]}
  %o3 = Reshape(%o2, @flat)
  %o4 = MatMul(%o3, @wo)
  %x1 = Add(%x0, %o4)
)";
  text += norm_text(form.norm, "n2", "x1", "2") + product("f1", "n2", "1");
  text += "  %f2 = Relu(%f1)\n  %f3 = MatMul(%f2, @w2)\n  %f4 = Add(%f3, @c2)\n  %x2 = Add(%f4, %x1)\n" +
          form.extra;
  text += norm_text(form.norm, "n3", "x2", "3");
  text += form.tied ? "  %r = Reshape(%n3, @rows)\n  %y = Gemm(%r, @table) {transB=1}\n"
                    : product("y", "n3", "h");
  return text + "  return %y as \"y\"" + form.returns + "\n}\n";
}

/// Gammas between a half and two.
inline ir::Graph transformer(const TransformerForm& form) {
  ir::Graph graph = testing_graphs::graph_from(transformer_text(form));
  for (const char* name : {"g1", "g2", "g3"}) {
    Tensor gamma = graph.find_value(name)->constant().clone();
    for (float& g : gamma.mutable_data<float>()) g = std::min(0.5F + 2 * std::fabs(g), 2.0F);
    graph.set_constant(graph.find_value(name), gamma);
  }
  return graph;
}

}  // namespace narrow::quant
