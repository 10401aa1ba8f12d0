// For tests of everything that runs graphs: .nir text into graphs, random weights and inputs, small models.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "base/random.h"
#include "ir/schema.h"
#include "ir/text.h"

namespace narrow::testing_graphs {

/// 64 KiB of normal numbers of deviation 0.25: what `blob OFFSET BYTES` in a test's text is cut from.
inline std::shared_ptr<AlignedBuffer> random_blob() {
  constexpr int64_t kBytes = 1 << 16;
  auto blob = std::make_shared<AlignedBuffer>(kBytes);
  Random random(42);
  for (int64_t i = 0; i < kBytes / 4; ++i) blob->as<float>()[i] = static_cast<float>(0.25 * random.normal());
  return blob;
}

/// Parsed, typed, verified; every value is its own origin, as the importer leaves it.
inline ir::Graph graph_from(const std::string& text) {
  static const auto blob = random_blob();
  auto graph = ir::parse(text, {blob->data(), static_cast<size_t>(blob->bytes())}, blob);
  EXPECT_TRUE(graph.ok()) << (graph.ok() ? "" : graph.error().message());
  if (!graph.ok()) return {};
  for (const Status& status : {ir::infer_types(*graph), ir::verify(*graph)})
    EXPECT_TRUE(status.ok()) << (status.ok() ? "" : status.error().message()) << "\n" << text;
  for (ir::Value* value : graph->values())
    if (value->origin.empty() && !value->is_constant()) value->origin = value->name;
  return std::move(graph).value();
}

/// Normal numbers (small whole numbers for integers); free dimensions become `free`.
inline TensorMap inputs_for(const ir::Graph& graph, uint64_t seed, int64_t free = 2) {
  Random random(seed);
  TensorMap inputs;
  for (const ir::Value* input : graph.inputs()) {
    Shape shape;
    for (const ir::Dim& dim : input->type.dims) shape.push_back(dim.known() ? dim.value : free);
    Tensor t = Tensor::allocate(DType::f32, shape);
    for (float& x : t.mutable_data<float>())
      x = is_float(input->type.dtype) ? static_cast<float>(random.normal())
                                      : static_cast<float>(random.integer(0, 3));
    inputs[input->name] = cast(t, input->type.dtype);
  }
  return inputs;
}

/// Largest |a - b|, relative to the largest |b| (at least 1); infinite when a NaN or another shape is met.
inline double distance(const Tensor& a, const Tensor& b) {
  if (a.shape() != b.shape() || a.dtype() != b.dtype()) return INFINITY;
  const auto x = to_floats(a), y = to_floats(b);
  double most = 0, size = 1;
  for (size_t i = 0; i < x.size(); ++i) {
    const double d = std::fabs(static_cast<double>(x[i]) - y[i]);
    most = d <= most ? most : std::isnan(d) ? INFINITY : d;
    size = std::max<double>(size, std::fabs(y[i]));
  }
  return most / size;
}

struct GraphCase {
  std::string name, text;
};

/// Standard ONNX in FP32, one of everything that fuses, aliases or moves.
inline std::vector<GraphCase> float_graphs() {
  return {
      {"conv_relu_residual", R"(graph g(%x: f32[N,4,7,9]) {
  @w1: f32[8,4,3,3] = blob 0 1152
  @b1: f32[8] = blob 2048 32
  @w2: f32[8,8,1,1] = blob 4096 256
  @w3: f32[8,8,3,3] = blob 8192 2304
  @lo: f32[] = [0]
  @hi: f32[] = [6]
  %a = Conv(%x, @w1, @b1) {pads=[1,1,1,1]} "conv1"
  %b = Relu(%a)
  %c = Conv(%b, @w2) "conv2"
  %d = Conv(%b, @w3) {pads=[1,1,1,1]} "conv3"
  %e = Add(%c, %d)
  %f = Clip(%e, @lo, @hi)
  return %f as "y", %b as "middle"
}
)"},
      {"depthwise_pool_gemm", R"(graph g(%x: f32[N,4,8,8]) {
  @w1: f32[4,1,3,3] = blob 0 144
  @b1: f32[4] = blob 2048 16
  @w2: f32[6,2,1,1] = blob 4096 48
  @w3: f32[5,6] = blob 8192 120
  @b3: f32[5] = blob 9216 20
  %a = Conv(%x, @w1, @b1) {group=4, pads=[1,1,1,1], strides=[2,2]}
  %b = HardSwish(%a)
  %c = Conv(%b, @w2) {group=2}
  %d = MaxPool(%c) {kernel_shape=[2,2], strides=[1,1]}
  %e = AveragePool(%d) {kernel_shape=[3,3], pads=[1,1,1,1]}
  %f = GlobalAveragePool(%e)
  %g = Flatten(%f)
  %h = Gemm(%g, @w3, @b3) {transB=1}
  %y = Softmax(%h)
  return %y as "y"
}
)"},
      {"squeeze_excite_concat_resize", R"(graph g(%x: f32[1,4,5,5]) {
  @w1: f32[6,4,3,3] = blob 0 864
  @w2: f32[6,6,1,1] = blob 4096 144
  @scales: f32[4] = [1,1,2,2]
  @pads: s64[8] = [0,0,1,0,0,0,0,2]
  @zero: f32[] = [0]
  @starts: s64[1] = [1]
  @ends: s64[1] = [9]
  @axes: s64[1] = [2]
  %a = Conv(%x, @w1) {pads=[1,1,1,1], auto_pad="NOTSET"}
  %s = Sigmoid(%a)
  %b = Mul(%a, %s)
  %p = GlobalAveragePool(%b)
  %q = Conv(%p, @w2)
  %r = HardSigmoid(%q)
  %t = Mul(%b, %r)
  %u = Resize(%t, -, @scales) {mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor"}
  %v = Resize(%x, -, @scales) {mode="linear", coordinate_transformation_mode="half_pixel"}
  %z = Concat(%u, %v) {axis=1}
  %k = Pad(%z, @pads, @zero)
  %y = Slice(%k, @starts, @ends, @axes)
  return %y as "y", %v as "v"
}
)"},
      {"transformer_block", R"(graph g(%x: f32[1,6,8]) {
  @gamma: f32[8] = blob 0 32
  @beta: f32[8] = blob 64 32
  @wq: f32[8,8] = blob 1024 256
  @wk: f32[8,8] = blob 2048 256
  @wv: f32[8,8] = blob 3072 256
  @wo: f32[8,8] = blob 4096 256
  @bo: f32[8] = blob 5120 32
  @w1: f32[8,16] = blob 6144 512
  @b1: f32[16] = blob 7168 64
  @w2: f32[16,8] = blob 8192 512
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
  %k3 = Transpose(%k2) {perm=[0,2,1,3]}
  %v3 = Transpose(%v2) {perm=[0,2,1,3]}
  %o1 = Attention(%q3, %k3, %v3) {scale=0.5}
  %o2 = Transpose(%o1) {perm=[0,2,1,3]}
  %o3 = Reshape(%o2, @flat)
  %o4 = MatMul(%o3, @wo)
  %o5 = Add(%o4, @bo)
  %r1 = Add(%x, %o5)
  %m = LayerNormalization(%r1, @gamma, @beta) {axis=-1, epsilon=1e-05}
  %h1 = MatMul(%m, @w1)
  %h2 = Add(%h1, @b1)
  %h3 = Gelu(%h2)
  %h4 = MatMul(%h3, @w2)
  %y = Add(%r1, %h4)
  return %y as "y"
}
)"},
      {"outputs_that_share_memory", R"(graph g(%x: f32[2,6]) {
  @c: f32[2] = [3,4]
  @shape: s64[2] = [3,4]
  %r = Reshape(%x, @shape)
  %y = Relu(%x)
  %z = Reshape(%y, @shape)
  return %x as "same", %r as "reshaped", %y as "y", %y as "again", %z as "z", @c as "constant"
}
)"},
      {"indices_and_masks", R"(graph g(%ids: s64[N,5]) {
  @table: f32[4,6] = blob 0 96
  @two: s64[] = [2]
  @last: s64[1] = [2]
  @fill: f32[] = [-100]
  @axes: s64[1] = [1]
  @bits: s64[2] = [2,4]
  %e = Gather(@table, %ids)
  %g = Greater(%ids, @two)
  %u = Unsqueeze(%g, @last)
  %m = Where(%u, @fill, %e)
  %n = ReduceMean(%m, @axes) {keepdims=0}
  %a, %b = Split(%n, @bits) {axis=1}
  %y = ArgMax(%m) {axis=2, keepdims=0}
  return %m as "m", %a as "a", %b as "b", %y as "y"
}
)"},
      {"group_norms", R"(graph g(%x: f32[N,4,7,9]) {
  @w1: f32[12,4,3,3] = blob 0 1728
  @w2: f32[12,12,1,1] = blob 2048 576
  @split: s64[3] = [0,3,-1]
  @join: s64[4] = [0,12,7,9]
  @ones: f32[3] = [1,1,1]
  @zeros: f32[3] = [0,0,0]
  @gamma: f32[12,1,1] = blob 4096 48
  @beta: f32[12,1,1] = blob 5120 48
  @scale: f32[12] = blob 6144 48
  @bias: f32[12] = blob 7168 48
  @whole: f32[4] = [1,-1,0.5,2]
  %a = Conv(%x, @w1) {pads=[1,1,1,1]}
  %r = Reshape(%a, @split)
  %n = InstanceNormalization(%r, @ones, @zeros) {epsilon=1e-05}
  %j = Reshape(%n, @join)
  %m = Mul(%j, @gamma)
  %b = Add(%m, @beta)
  %c = Conv(%b, @w2)
  %i = InstanceNormalization(%c, @scale, @bias) {epsilon=0.01}
  %d = Relu(%i)
  %y = GroupNormalization(%d, @scale, @bias) {epsilon=0.01, num_groups=4}
  %z = GroupNormalization(%x, @whole, @whole) {num_groups=1}
  return %y as "y", %z as "z"
}
)"},
  };
}

/// Standard ONNX with QuantizeLinear and DequantizeLinear.
inline std::vector<GraphCase> narrow_graphs() {
  return {
      {"int8_conv_residual", R"(graph g(%x: f32[1,4,6,6]) {
  @s: f32[] = [0.03]
  @z: u8[] = [120]
  @t: f32[] = [0.05]
  @o: u8[] = [0]
  @w: s8[4,4,1,1] = [1,-2,3,100,-50,60,7,8,-9,10,11,-12,127,-127,15,16]
  @ws: f32[4] = [0.01,0.02,0.003,0.015]
  @wz: s8[4] = [0,0,0,0]
  @b: s32[4] = [100,-200,300,0]
  @bs: f32[4] = [0.0003,0.0006,0.00009,0.00045]
  %q = QuantizeLinear(%x, @s, @z)
  %d = DequantizeLinear(%q, @s, @z)
  %wd = DequantizeLinear(@w, @ws, @wz) {axis=0}
  %bd = DequantizeLinear(@b, @bs) {axis=0}
  %c = Conv(%d, %wd, %bd)
  %r = Relu(%c)
  %rq = QuantizeLinear(%r, @t, @o)
  %rd = DequantizeLinear(%rq, @t, @o)
  %c2 = Conv(%rd, %wd, %bd)
  %a = Add(%c2, %d)
  %aq = QuantizeLinear(%a, @t, @z)
  %p = DequantizeLinear(%aq, @t, @z)
  %m = MaxPool(%p) {kernel_shape=[2,2], strides=[2,2]}
  %mq = QuantizeLinear(%m, @t, @z)
  %y = DequantizeLinear(%mq, @t, @z)
  return %y as "y"
}
)"},
      {"int8_matmul", R"(graph g(%x: f32[3,4]) {
  @s: f32[] = [0.03]
  @z: u8[] = [128]
  @w: s8[4,2] = [1,-2,3,100,-50,60,7,8]
  @ws: f32[2] = [0.01,0.02]
  %q = QuantizeLinear(%x, @s, @z)
  %d = DequantizeLinear(%q, @s, @z)
  %wd = DequantizeLinear(@w, @ws) {axis=1}
  %m = MatMul(%d, %wd)
  %mq = QuantizeLinear(%m, @s, @z)
  %y = DequantizeLinear(%mq, @s, @z)
  return %y as "y"
}
)"},
      // Powers of two as scales: float arithmetic is exact, so both ways must give the same bits.
      {"int8_dynamic", R"(graph g(%x: f32[3,4]) {
  @axes: s64[1] = [-1]
  @step: f32[] = [0.00787401572]
  @tiny: f32[] = [1e-30]
  @one: f32[] = [1]
  @z: u8[] = [128]
  @w: s8[4,2] = [1,-2,3,100,-50,60,7,8]
  @ws: f32[2] = [0.5,0.25]
  @b: f32[2] = [1,-1]
  %a = Abs(%x)
  %m = ReduceMax(%a, @axes) {keepdims=1}
  %n = Mul(%m, @step)
  %s = Max(%n, @tiny)
  %v = Div(%x, %s)
  %q = QuantizeLinear(%v, @one, @z)
  %d = DequantizeLinear(%q, @one, @z)
  %wd = DequantizeLinear(@w, @ws) {axis=1}
  %p = MatMul(%d, %wd)
  %r = Mul(%p, %s)
  %y = Add(%r, @b)
  return %y as "y"
}
)"},
      {"int8_dynamic_conv", R"(graph g(%x: f32[2,2,4,4]) {
  @axes: s64[3] = [1,2,3]
  @step: f32[] = [0.00787401572]
  @tiny: f32[] = [1e-30]
  @one: f32[] = [1]
  @z: u8[] = [128]
  @w: s8[3,2,2,2] = [1,-2,3,100,-50,60,7,8,9,-10,11,12,-13,14,15,-16,17,18,-19,20,21,22,-23,24]
  @ws: f32[3] = [0.5,0.25,1]
  @b: f32[3,1,1] = [1,-1,0]
  %a = Abs(%x)
  %m = ReduceMax(%a, @axes) {keepdims=1}
  %n = Mul(%m, @step)
  %s = Max(%n, @tiny)
  %v = Div(%x, %s)
  %q = QuantizeLinear(%v, @one, @z)
  %d = DequantizeLinear(%q, @one, @z)
  %wd = DequantizeLinear(@w, @ws) {axis=0}
  %p = Conv(%d, %wd) {pads=[1,1,0,0], strides=[1,1]}
  %r = Mul(%p, %s)
  %t = Add(%r, @b)
  %y = Relu(%t)
  return %y as "y"
}
)"},
      {"dynamic_quantize_linear", R"(graph g(%x: f32[3,4]) {
  @w: s8[4,2] = [1,-2,3,100,-50,60,7,8]
  @wz: s8[] = [0]
  @u: u8[4,2] = [1,2,3,100,250,60,128,8]
  @uz: u8[] = [128]
  @ws: f32[] = [0.5]
  %q, %s, %z = DynamicQuantizeLinear(%x)
  %p = MatMulInteger(%q, @w, %z, @wz)
  %pf = Cast(%p) {to=1}
  %o = MatMulInteger(%q, @u, %z, @uz)
  %of = Cast(%o) {to=1}
  %t = Add(%pf, %of)
  %both = Mul(%s, @ws)
  %y = Mul(%t, %both)
  return %y as "y"
}
)"},
  };
}

/// Two convolutions of 8 bits, concatenated; with `joined` nobody else wants their results, else the graph
/// does.
inline std::string concat_graph(bool joined) {
  return std::string(R"(graph g(%x: f32[N,4,6,5]) {
  @s: f32[] = [0.03]
  @z: u8[] = [120]
  @t: f32[] = [0.05]
  @o: u8[] = [0]
  @w: s8[4,4,1,1] = [1,-2,3,100,-50,60,7,8,-9,10,11,-12,127,-127,15,16]
  @v: s8[8,4,1,1] = [1,-2,3,100,-50,60,7,8,-9,10,11,-12,127,-127,15,16,16,15,-127,127,-12,11,10,-9,8,7,60,-50,100,3,-2,1]
  @u: s8[3,12,1,1] = [1,2,3,4,5,6,7,8,9,10,11,12,-1,-2,-3,-4,-5,-6,-7,-8,-9,-10,-11,-12,9,8,7,6,5,4,3,2,1,0,-1,-2]
  @ws: f32[] = [0.01]
  %q = QuantizeLinear(%x, @s, @z)
  %d = DequantizeLinear(%q, @s, @z)
  %wd = DequantizeLinear(@w, @ws)
  %vd = DequantizeLinear(@v, @ws)
  %ud = DequantizeLinear(@u, @ws)
  %a = Conv(%d, %wd)
  %ar = Relu(%a)
  %aq = QuantizeLinear(%ar, @t, @o)
  %ad = DequantizeLinear(%aq, @t, @o)
  %b = Conv(%d, %vd)
  %br = Relu(%b)
  %bq = QuantizeLinear(%br, @t, @o)
  %bd = DequantizeLinear(%bq, @t, @o)
  %c = Concat(%ad, %bd) {axis=1}
  %cq = QuantizeLinear(%c, @t, @o)
  %cd = DequantizeLinear(%cq, @t, @o)
  %e = Conv(%cd, %ud)
  %eq = QuantizeLinear(%e, @t, @z)
  %y = DequantizeLinear(%eq, @t, @z)
  return %y as "y")") +
         (joined ? "" : ", %ad as \"a\"") + "\n}\n";
}

/// Concats of a Concat and a convolution, all with one scale, that one scale per channel reads each time (as
/// in a DenseNet).
inline std::string dense_graph() {
  return R"(graph g(%x: f32[N,4,6,5]) {
  @s: f32[] = [0.03]
  @z: u8[] = [120]
  @t: f32[] = [0.05]
  @o: u8[] = [0]
  @ws: f32[] = [0.01]
  @w: s8[8,4,1,1] = blob 0 32
  @k1: s8[8,1,1,1] = [1,-2,3,100,-50,60,7,8]
  @v1: s8[4,8,3,3] = blob 64 288
  @k2: s8[12,1,1,1] = [11,-12,13,10,-50,60,7,-8,90,10,-11,12]
  @v2: s8[4,12,1,1] = blob 384 48
  @k3: s8[16,1,1,1] = [-9,8,7,6,5,40,-3,2,1,11,12,-13,14,15,16,17]
  %q = QuantizeLinear(%x, @s, @z)
  %d = DequantizeLinear(%q, @s, @z)
  %wd = DequantizeLinear(@w, @ws)
  %k1d = DequantizeLinear(@k1, @ws)
  %v1d = DequantizeLinear(@v1, @ws)
  %k2d = DequantizeLinear(@k2, @ws)
  %v2d = DequantizeLinear(@v2, @ws)
  %k3d = DequantizeLinear(@k3, @ws)
  %a = Conv(%d, %wd)
  %aq = QuantizeLinear(%a, @t, @z)
  %ad = DequantizeLinear(%aq, @t, @z)
  %m1 = Conv(%ad, %k1d) {group=8}
  %m1r = Relu(%m1)
  %m1q = QuantizeLinear(%m1r, @s, @o)
  %m1d = DequantizeLinear(%m1q, @s, @o)
  %n1 = Conv(%m1d, %v1d) {pads=[1,1,1,1]}
  %n1q = QuantizeLinear(%n1, @t, @z)
  %n1d = DequantizeLinear(%n1q, @t, @z)
  %c1 = Concat(%ad, %n1d) {axis=1}
  %c1q = QuantizeLinear(%c1, @t, @z)
  %c1d = DequantizeLinear(%c1q, @t, @z)
  %m2 = Conv(%c1d, %k2d) {group=12}
  %m2r = Relu(%m2)
  %m2q = QuantizeLinear(%m2r, @s, @o)
  %m2d = DequantizeLinear(%m2q, @s, @o)
  %n2 = Conv(%m2d, %v2d)
  %n2q = QuantizeLinear(%n2, @t, @z)
  %n2d = DequantizeLinear(%n2q, @t, @z)
  %c2 = Concat(%c1d, %n2d) {axis=1}
  %c2q = QuantizeLinear(%c2, @t, @z)
  %c2d = DequantizeLinear(%c2q, @t, @z)
  %m3 = Conv(%c2d, %k3d) {group=16}
  %m3r = Relu(%m3)
  %m3q = QuantizeLinear(%m3r, @s, @o)
  %y = DequantizeLinear(%m3q, @s, @o)
  return %y as "y"
}
)";
}

/// Channels cut in two, of which a convolution reads one (as in YOLO's blocks), all joined with what it
/// gives; channels 3 to 8 for a depthwise one, and two more for one behind a residual, where nobody reads
/// them apart.
inline std::string split_graph(const std::string& extent = "6,5") {
  return "graph g(%x: f32[N,4," + extent + "]) {" + R"(
  @s: f32[] = [0.03]
  @z: u8[] = [120]
  @t: f32[] = [0.05]
  @ws: f32[] = [0.01]
  @bits: s64[2] = [8,8]
  @three: s64[1] = [3]
  @nine: s64[1] = [9]
  @end: s64[1] = [9223372036854775807]
  @last: s64[1] = [-8]
  @channels: s64[1] = [1]
  @w: s8[16,4,1,1] = blob 0 64
  @v: s8[8,8,3,3] = blob 64 576
  @k: s8[6,1,3,3] = blob 640 54
  @u: s8[5,24,1,1] = blob 704 120
  %q = QuantizeLinear(%x, @s, @z)
  %d = DequantizeLinear(%q, @s, @z)
  %wd = DequantizeLinear(@w, @ws)
  %vd = DequantizeLinear(@v, @ws)
  %kd = DequantizeLinear(@k, @ws)
  %ud = DequantizeLinear(@u, @ws)
  %a = Conv(%d, %wd)
  %aq = QuantizeLinear(%a, @t, @z)
  %ad = DequantizeLinear(%aq, @t, @z)
  %b, %c = Split(%ad, @bits) {axis=1}
  %m = Conv(%c, %vd) {pads=[1,1,1,1]}
  %mq = QuantizeLinear(%m, @t, @z)
  %md = DequantizeLinear(%mq, @t, @z)
  %e = Slice(%ad, @three, @nine, @channels)
  %f = Conv(%e, %kd) {group=6, pads=[1,1,1,1], strides=[2,2]}
  %fr = Relu(%f)
  %fq = QuantizeLinear(%fr, @t, @z)
  %fd = DequantizeLinear(%fq, @t, @z)
  %h = Slice(%ad, @last, @end, @channels)
  %i = Conv(%md, %vd) {pads=[1,1,1,1]}
  %j = Add(%i, %h)
  %jq = QuantizeLinear(%j, @t, @z)
  %jd = DequantizeLinear(%jq, @t, @z)
  %all = Concat(%b, %c, %md) {axis=1}
  %allq = QuantizeLinear(%all, @t, @z)
  %alld = DequantizeLinear(%allq, @t, @z)
  %g = Conv(%alld, %ud)
  %gq = QuantizeLinear(%g, @t, @z)
  %y = DequantizeLinear(%gq, @t, @z)
  return %y as "y", %fd as "f", %jd as "j"
}
)";
}

}  // namespace narrow::testing_graphs
