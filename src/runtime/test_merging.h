// For tests: models with convolutions that read the same value, and tactics by which they are merged.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>

#include "runtime/session.h"
#include "runtime/tactics.h"

namespace narrow::testing_graphs {

/// As if it had been timed of what `apart` runs for these shapes, and `won` was faster.
inline std::shared_ptr<const runtime::Tactics> merging_tactics(runtime::Session& apart,
                                                               const std::map<std::string, Shape>& shapes,
                                                               Isa isa,
                                                               const std::string& won = runtime::kMerged) {
  const auto graph = apart.engine_graph(shapes);
  EXPECT_TRUE(graph.ok()) << (graph.ok() ? "" : graph.error().message());
  const char* lost = won == runtime::kMerged ? runtime::kApart : runtime::kMerged;
  runtime::Tactics tactics{runtime::machine_key(isa), {}};
  tactics.cases[runtime::PlanKeys(**graph).merging] = {{won, 1}, {lost, 2}};
  return std::make_shared<const runtime::Tactics>(std::move(tactics));
}

/// How many convolutions compute several layers.
inline int64_t merged_steps(runtime::Session& session, const std::map<std::string, Shape>& shapes) {
  const auto info = session.plan_info(shapes);
  EXPECT_TRUE(info.ok()) << (info.ok() ? "" : info.error().message());
  int64_t count = 0;
  for (const runtime::StepChoice& step : info->steps) count += step.merged.empty() ? 0 : 1;
  return count;
}

/// Three 1x1 convolutions of one value, read by others. In 8 bits the first two and the third have results of
/// different scales; so have their weights.
inline std::string parallel_int8_graph() {
  return R"(graph g(%x: f32[N,64,7,5]) {
  @s: f32[] = [0.03]
  @z: u8[] = [120]
  @t: f32[] = [0.05]
  @other: f32[] = [0.08]
  @o: u8[] = [0]
  @ws: f32[] = [0.001]
  @vs: f32[] = [0.0017]
  @u: s8[64,64,1,1] = blob 0 4096
  @v: s8[40,64,1,1] = blob 4096 2560
  @w: s8[24,64,1,1] = blob 8192 1536
  @bu: f32[64] = blob 16384 256
  @bv: f32[40] = blob 17408 160
  @bw: f32[24] = blob 18432 96
  @p: s8[9,64,3,3] = blob 20480 5184
  @q: s8[11,40,1,1] = blob 28672 440
  @r: s8[13,24,1,1] = blob 32768 312
  %xq = QuantizeLinear(%x, @s, @z)
  %xd = DequantizeLinear(%xq, @s, @z)
  %ud = DequantizeLinear(@u, @ws)
  %vd = DequantizeLinear(@v, @vs)
  %wd = DequantizeLinear(@w, @ws)
  %pd = DequantizeLinear(@p, @ws)
  %qd = DequantizeLinear(@q, @ws)
  %rd = DequantizeLinear(@r, @vs)
  %a = Conv(%xd, %ud, @bu) "one"
  %ar = Relu(%a)
  %aq = QuantizeLinear(%ar, @t, @o)
  %ad = DequantizeLinear(%aq, @t, @o)
  %b = Conv(%xd, %vd, @bv) "two"
  %br = Relu(%b)
  %bq = QuantizeLinear(%br, @t, @o)
  %bd = DequantizeLinear(%bq, @t, @o)
  %c = Conv(%xd, %wd, @bw) "three"
  %cr = Relu(%c)
  %cq = QuantizeLinear(%cr, @other, @o)
  %cd = DequantizeLinear(%cq, @other, @o)
  %d = Conv(%ad, %pd) {pads=[1,1,1,1]}
  %dq = QuantizeLinear(%d, @t, @z)
  %dd = DequantizeLinear(%dq, @t, @z)
  %e = Conv(%bd, %qd)
  %eq = QuantizeLinear(%e, @t, @z)
  %ed = DequantizeLinear(%eq, @t, @z)
  %f = Conv(%cd, %rd)
  %fq = QuantizeLinear(%f, @t, @z)
  %fd = DequantizeLinear(%fq, @t, @z)
  %y = Concat(%dd, %ed, %fd) {axis=1}
  return %y as "y"
}
)";
}

/// The same in FP32, or with weights and values in bf16.
inline std::string parallel_float_graph(bool halves) {
  std::string text = R"(graph g(%x: f32[N,64,7,5]) {
  @u: f32[64,64,1,1] = blob 0 16384
  @v: f32[64,64,1,1] = blob 16384 16384
  @bu: f32[64] = blob 32768 256
  @bv: f32[64] = blob 33792 256
  @p: f32[9,64,3,3] = blob 34816 20736
  @q: f32[11,64,1,1] = blob 57344 2816
)";
  const auto cast = [&](const char* name, const char* from) {
    text += std::string("  %") + name + " = Cast(" + from + ") {to=" + (halves ? "16" : "1") + "}\n";
  };
  cast("xh", "%x"), cast("uh", "@u"), cast("vh", "@v"), cast("ph", "@p"), cast("qh", "@q");
  cast("buh", "@bu"), cast("bvh", "@bv");
  return text + R"(  %a = Conv(%xh, %uh, %buh) "one"
  %s = Sigmoid(%a)
  %ar = Mul(%a, %s)
  %b = Conv(%xh, %vh, %bvh) "two"
  %t = Sigmoid(%b)
  %br = Mul(%b, %t)
  %d = Conv(%ar, %ph) {pads=[1,1,1,1]}
  %e = Conv(%br, %qh)
  %k = Concat(%d, %e) {axis=1}
  %y = Cast(%k) {to=1}
  return %y as "y"
}
)";
}

}  // namespace narrow::testing_graphs
