// Local response normalisation (kernels/norm/lrn.h).
#include "kernels/norm/lrn.h"

#include <algorithm>
#include <cmath>

#include "kernel_cases/common_fields.h"
#include "kernel_cases/per_isa.h"

namespace narrow::kernel_cases {
namespace {

using kernels::LrnSpec;

Fields fields() {
  Fields f = {size_field("rows", 1, 0), size_field("channels", 1),
              size_field("size", 5, 1, kernels::kMostLrnSize)};
  f.push_back(real_field("alpha", 1e-4F));
  f.push_back(real_field("beta", 0.75F));
  f.push_back(real_field("bias", 1));
  add_format(f, "src", kAllTypes);
  add_format(f, "dst", kAllTypes);
  add_data(f);
  return f;
}

std::string invalid(const Case& c) {
  for (const char* name : {"src", "dst"})
    if (std::string wrong = invalid_format(c, name); !wrong.empty()) return wrong;
  const auto within = [&](const char* name, float low, float high) {
    return c.real(name) >= low && c.real(name) <= high;
  };
  if (!within("alpha", 0, 10) || !within("beta", 0.01F, 2) || !within("bias", 0.01F, 100))
    return "alpha, beta, bias: want 0 to 10, 0.01 to 2, 0.01 to 100";
  return too_large("src", {c.size("rows"), c.size("channels")});
}

LrnSpec spec_of(const Case& c) {
  return {.rows = c.size("rows"),
          .channels = c.size("channels"),
          .size = c.size("size"),
          .alpha = c.real("alpha"),
          .beta = c.real("beta"),
          .bias = c.real("bias"),
          .src = format_of(c, "src", 0.03F),
          .dst = format_of(c, "dst", 0.03F)};
}

/// u = 2^-24. The window is summed in order: relatively off by at most (size + 3) u, all terms being
/// positive, which the power takes beta times. The power 3/4 by reciprocal roots is off by 4.5 u and products
/// by 4 u more; 1/2 and 1 are nearer; any other power is the C library's.
void solve(const LrnSpec& s, Problem& p) {
  Output& dst = p.outputs[0];
  dst.want.resize(static_cast<size_t>(dst.bytes()));
  lrn_reference(s, p.inputs[0].data(), dst.want.data());
  LrnSpec wide = s;
  wide.dst = {DType::f32, {}};
  dst.real.resize(static_cast<size_t>(dst.count()));
  lrn_reference(wide, p.inputs[0].data(), dst.real.data());
  dst.bounds.assign(1, dst.real);
  const float relative = ((static_cast<float>(s.size) + 3) * std::max(1.0F, s.beta) + 14) * 0x1p-24F;
  for (float& bound : dst.bounds[0]) bound = relative * std::fabs(bound) + 0x1p-125F;
}

Problem pose(const Case& c) {
  const LrnSpec s = spec_of(c);
  Random random = random_of(c);
  Problem p;
  p.inputs = {make_values(random, s.src.type, s.rows * s.channels, values_of(c), 3)};
  p.outputs = {{.name = "dst", .format = s.dst, .extents = {s.rows, s.channels}}};
  p.candidates = per_isa("lrn", {.run = [s](const Memory& m, Isa isa, ThreadPool& pool) {
                           lrn(s, m.in[0], m.out[0], isa, pool);
                         }});
  p.solve = [s](Problem& problem) { solve(s, problem); };
  p.bytes = bytes_of_operands(p);
  return p;
}

Case draw(Dice& dice, int64_t budget) {
  Case c = standard_case(*find_family("lrn"));
  const int64_t channels = dice.once_in(6) ? dice.extent(1200) : dice.extent(150);
  c.set("channels", channels);
  c.set("rows", dice.once_in(40) ? 0 : dice.between(1, std::clamp<int64_t>(budget / 100 / channels, 1, 20)));
  c.set("size", dice.once_in(2) ? dice.between(1, 7) : dice.between(1, 64));
  c.set_real("alpha", dice.one_of({1e-4F, 0.5F, 0.0F})), c.set_real("bias", dice.one_of({1.0F, 2.0F}));
  c.set_real("beta", dice.one_of({0.75F, 0.5F, 1.0F, 0.6F}));
  draw_format(c, "src", kAllTypes, dice);
  draw_format(c, "dst", kAllTypes, dice);
  draw_data(c, dice);
  return c;
}

}  // namespace

Family lrn_family() {
  return {.name = "lrn",
          .about = "dst = src / (bias + alpha / size * sum of src^2 over neighbouring channels)^beta",
          .fields = fields(),
          .invalid = invalid,
          .draw = draw,
          .pose = pose,
          .candidates = [] { return list_per_isa("lrn", "f32 bf16 f16 u8 s8 to any of them"); }};
}

}  // namespace narrow::kernel_cases
