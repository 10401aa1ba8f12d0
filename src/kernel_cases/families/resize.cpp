// Resize of images (kernels/layout/resize.h): equal on every instruction set.
#include "kernels/layout/resize.h"

#include <algorithm>

#include "kernel_cases/common_fields.h"
#include "kernel_cases/per_isa.h"

namespace narrow::kernel_cases {
namespace {

using kernels::ResizeSpec;

Fields fields() {
  Fields f = {
      choice_field("type", kAllTypes), choice_field("mode", {"nearest", "linear"}),
      choice_field("coordinates", {"half_pixel", "pytorch_half_pixel", "asymmetric", "align_corners"}),
      choice_field("round", {"round_prefer_floor", "round_prefer_ceil", "floor", "ceil"}),
      size_field("n", 1, 0)};
  for (const char* name : {"h", "w", "c"}) f.push_back(size_field(name, 1));
  f.push_back(pair_field("out", 1, 0));
  for (const char* name : {"scale_h", "scale_w"}) f.push_back(real_field(name, 0));  // 0: out / in
  add_data(f);
  return f;
}

std::string invalid(const Case& c) {
  for (const char* name : {"scale_h", "scale_w"})
    if (c.real(name) < 0 || c.real(name) > 1e6F || (c.real(name) != 0 && c.real(name) < 1e-6F))
      return std::string(name) + ": wants 1e-6 to 1e6, or 0 for out / in";
  for (const std::string& wrong :
       {too_large("src", {c.size("n"), c.size("h"), c.size("w"), c.size("c")}),
        too_large("dst", {c.size("n"), c.height("out"), c.width("out"), c.size("c")})})
    if (!wrong.empty()) return wrong;
  return {};
}

ResizeSpec spec_of(const Case& c) {
  ResizeSpec s;
  s.mode = static_cast<kernels::ResizeMode>(c.choice("mode"));
  s.coordinates = static_cast<kernels::ResizeCoordinates>(c.choice("coordinates"));
  s.nearest = static_cast<kernels::ResizeNearest>(c.choice("round"));
  s.type = c.type("type");
  s.n = c.size("n"), s.h = c.size("h"), s.w = c.size("w"), s.c = c.size("c");
  s.oh = c.height("out"), s.ow = c.width("out");
  const auto scale = [](float given, int64_t out, int64_t in) {
    return given != 0 ? given : static_cast<float>(std::max<int64_t>(out, 1)) / static_cast<float>(in);
  };
  s.scale_h = scale(c.real("scale_h"), s.oh, s.h), s.scale_w = scale(c.real("scale_w"), s.ow, s.w);
  return s;
}

Problem pose(const Case& c) {
  const ResizeSpec s = spec_of(c);
  Random random = random_of(c);
  Problem p;
  p.inputs = {make_values(random, s.type, s.n * s.h * s.w * s.c, values_of(c), 200)};
  p.outputs = {{.name = "dst", .format = {s.type, {}}, .extents = {s.n, s.oh, s.ow, s.c}}};
  p.candidates =
      per_isa("resize", {.run = [s](const Memory& m, Isa isa,
                                    ThreadPool& pool) { resize(s, m.in[0], m.out[0], m.scratch, isa, pool); },
                         .scratch_bytes = [s](Isa, int) { return resize_scratch_bytes(s); }});
  p.solve = solve_exactly([s](const Problem& problem, const std::vector<void*>& out) {
    resize_reference(s, problem.inputs[0].data(), out[0]);
  });
  p.bytes = bytes_of_operands(p);
  return p;
}

Case draw(Dice& dice, int64_t budget) {
  Case c = standard_case(*find_family("resize"));
  c.set("type", dice.below(5)), c.set("mode", dice.below(2));
  c.set("coordinates", dice.below(4)), c.set("round", dice.below(4));
  const int64_t h = dice.extent(16), w = dice.extent(16), oh = dice.extent(30), ow = dice.extent(30);
  const int64_t most = std::max<int64_t>(1, budget / 5 / std::max(h * w, oh * ow));
  c.set("n", dice.once_in(40) ? 0 : dice.between(1, 2)), c.set("h", h), c.set("w", w);
  c.set("c", std::min(most, dice.extent(100)));
  c.set("out", dice.once_in(40) ? 0 : oh, ow);
  if (dice.once_in(4)) c.set_real("scale_h", dice.one_of({0.6F, 1.7F, 2.0F}));
  draw_data(c, dice);
  return c;
}

}  // namespace

Family resize_family() {
  return {.name = "resize",
          .about = "dst = src at another height and width, nearest or linear, channels last",
          .fields = fields(),
          .invalid = invalid,
          .draw = draw,
          .pose = pose,
          .candidates = [] { return list_per_isa("resize", "f32 bf16 f16 u8 s8"); }};
}

}  // namespace narrow::kernel_cases
