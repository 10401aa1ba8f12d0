// Max and average pooling (kernels/pool): equal on every instruction set, floats too.
#include "kernels/pool/pool.h"

#include <algorithm>

#include "kernel_cases/common_fields.h"
#include "kernel_cases/per_isa.h"

namespace narrow::kernel_cases {
namespace {

using kernels::PoolShape;
using kernels::PoolSpec;

Fields fields() {
  Fields f = {choice_field("kind", {"max", "average"})};
  add_format(f, "src", kAllTypes);
  add_format(f, "dst", kAllTypes);
  f.push_back(size_field("n", 1, 0));
  for (const char* name : {"h", "w", "c"}) f.push_back(size_field(name, 1));
  f.push_back(pair_field("kernel", 1, 1, 1 << 10));
  f.push_back(pair_field("stride", 1));
  f.push_back(pair_field("pad", 0, 0));
  f.push_back(pair_field("pad_end", 0, 0));
  f.push_back(pair_field("out", -1, 0));
  f.push_back(pair_field("dilation", 1));
  f.push_back(flag_field("count_include_pad"));
  add_data(f);
  return f;
}

int64_t outputs(int64_t extent, int64_t kernel, int64_t stride, int64_t pads, int64_t dilation) {
  const int64_t room = extent + pads - (kernel - 1) * dilation - 1;
  return room < 0 ? 0 : room / stride + 1;
}

void complete(Case& c) {
  int64_t oh = c.height("out"), ow = c.width("out");
  if (oh < 0)
    oh = outputs(c.size("h"), c.height("kernel"), c.height("stride"), c.height("pad") + c.height("pad_end"),
                 c.height("dilation"));
  if (ow < 0)
    ow = outputs(c.size("w"), c.width("kernel"), c.width("stride"), c.width("pad") + c.width("pad_end"),
                 c.width("dilation"));
  c.set("out", oh, ow);
}

std::string invalid(const Case& c) {
  for (const char* name : {"src", "dst"})
    if (std::string wrong = invalid_format(c, name); !wrong.empty()) return wrong;
  if (c.height("out") < 0 || c.width("out") < 0) return "out: wants at least 0";
  for (const std::string& wrong :
       {too_large("src", {c.size("n"), c.size("h"), c.size("w"), c.size("c")}),
        too_large("dst", {c.size("n"), c.height("out"), c.width("out"), c.size("c")})})
    if (!wrong.empty()) return wrong;
  const int64_t taps = product({c.height("kernel"), c.width("kernel")});
  if (product({c.size("n"), c.height("out"), c.width("out"), c.size("c"), taps}) > int64_t{1} << 40)
    return "more than 2^40 taps";
  return {};
}

PoolSpec spec_of(const Case& c) {
  PoolShape s;
  s.n = c.size("n"), s.h = c.size("h"), s.w = c.size("w"), s.c = c.size("c");
  s.oh = c.height("out"), s.ow = c.width("out"), s.kh = c.height("kernel"), s.kw = c.width("kernel");
  s.stride_h = c.height("stride"), s.stride_w = c.width("stride");
  s.dilation_h = c.height("dilation"), s.dilation_w = c.width("dilation");
  s.pad_top = c.height("pad"), s.pad_left = c.width("pad");
  s.pad_bottom = c.height("pad_end"), s.pad_right = c.width("pad_end");
  return {static_cast<kernels::PoolKind>(c.choice("kind")), s, format_of(c, "src", 0.02F),
          format_of(c, "dst", 0.02F), c.flag("count_include_pad")};
}

Problem pose(const Case& c) {
  const PoolSpec s = spec_of(c);
  Random random = random_of(c);
  Problem p;
  p.inputs = {make_values(random, s.src.type, s.shape.n * s.shape.h * s.shape.w * s.shape.c, values_of(c))};
  p.outputs = {{.name = "dst", .format = s.dst, .extents = {s.shape.n, s.shape.oh, s.shape.ow, s.shape.c}}};
  p.candidates = per_isa("pool", {.run = [s](const Memory& m, Isa isa, ThreadPool& pool) {
                           kernels::pool(s, m.in[0], m.out[0], isa, pool);
                         }});
  p.solve = solve_exactly([s](const Problem& problem, const std::vector<void*>& out) {
    pool_reference(s, problem.inputs[0].data(), out[0]);
  });
  p.bytes = bytes_of_operands(p);
  return p;
}

void draw_axis(Dice& dice, int64_t& kernel, int64_t& stride, int64_t& pad, int64_t& end, int64_t& dilation) {
  kernel = dice.between(1, 5), stride = dice.between(1, 3),
  dilation = dice.once_in(3) ? dice.between(2, 3) : 1;
  pad = dice.below(kernel), end = dice.below(kernel);
}

Case draw(Dice& dice, int64_t budget) {
  Case c = standard_case(*find_family("pool"));
  c.set("kind", dice.below(2));
  draw_format(c, "src", kAllTypes, dice);
  draw_format(c, "dst", kAllTypes, dice);
  int64_t h = dice.extent(20), w = dice.extent(20), channels = dice.extent(200);
  int64_t k[2], stride[2], pad[2], end[2], dilation[2];
  for (int i = 0; i < 2; ++i) draw_axis(dice, k[i], stride[i], pad[i], end[i], dilation[i]);
  if (dice.once_in(5))
    k[0] = h, k[1] = w, pad[0] = pad[1] = end[0] = end[1] = 0, dilation[0] = dilation[1] = 1;
  while (h * w * channels * k[0] * k[1] > budget && channels > 1) channels /= 2;
  c.set("n", dice.once_in(30) ? 0 : dice.between(1, 2)), c.set("h", h), c.set("w", w), c.set("c", channels);
  c.set("kernel", k[0], k[1]), c.set("stride", stride[0], stride[1]), c.set("pad", pad[0], pad[1]);
  c.set("pad_end", end[0], end[1]), c.set("dilation", dilation[0], dilation[1]);
  complete(c);
  if (dice.once_in(3)) c.set("out", c.height("out") + 1, c.width("out"));  // ceil mode: beyond the padding
  c.set("count_include_pad", dice.below(2));
  draw_data(c, dice);
  return c;
}

std::vector<Listed> list() { return list_per_isa("pool", "f32 bf16 f16 u8 s8 to any of them"); }

}  // namespace

Family pool_family() {
  return {.name = "pool",
          .about = "dst = max or average over windows of src, channels last",
          .fields = fields(),
          .complete = complete,
          .invalid = invalid,
          .draw = draw,
          .pose = pose,
          .candidates = list};
}

}  // namespace narrow::kernel_cases
